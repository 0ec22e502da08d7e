"""The store's migrations, run when a store is opened (``roost.store.engine``); forwards only."""
