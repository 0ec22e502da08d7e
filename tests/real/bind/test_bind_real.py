from __future__ import annotations

from bind.instance import Server, settings


def test_first(server: Server) -> None:
    import time

    server.bring(settings())
    print(server.services.log()[-3000:])
    (table,) = server.driver.tables(settings(), server.host)
    assert table.position() == 0
    from roost.ports.driver import Batch

    rows = [
        ("ms1.cluster.test/A", {"zone": "cluster.test", "ttl": 300, "data": ["198.18.0.31"]}),
        ("john.pop.example.test/CNAME", {"zone": "pop.example.test", "ttl": 60, "data": ["ms1.cluster.test."]}),
    ]
    table.apply(Batch(rows, 7, 0))
    assert table.position() == 7
    assert len(list(table.rows())) == 4
    t = time.time()
    table.clear()
    print("clear", time.time() - t)
    assert table.position() == 0
    t = time.time()
    for i in range(0, 20000, 2000):
        big = [
            (f"u{n}.pop.example.test/CNAME", {"zone": "pop.example.test", "ttl": 60, "data": ["ms1.cluster.test."]})
            for n in range(i, i + 2000)
        ]
        table.apply(Batch(big, i + 2000, i))
    print("20k", time.time() - t)
    lat = []
    for k in range(200):
        t = time.perf_counter()
        table.apply(
            Batch(
                [
                    (
                        "u5.pop.example.test/CNAME",
                        {"zone": "pop.example.test", "ttl": 60, "data": [f"ms{k}.cluster.test."]},
                    )
                ],
                20001 + k,
                20000 + k,
            )
        )
        lat.append(time.perf_counter() - t)
    lat.sort()
    print("p50", lat[100] * 1e3, "p99", lat[198] * 1e3)
