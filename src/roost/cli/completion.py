"""``roost completion``: scripts that let a shell complete roost's commands and options."""

from __future__ import annotations

import sys
from typing import Literal

from roost.cli.options import COMMON, Common
from roost.cli.session import Use


def completion(shell: Literal["bash", "zsh", "fish"], /, *, options: Common = COMMON, session: Use) -> None:
    """Print a script that lets a shell complete this command line.

    For example:
      roost completion bash > /usr/share/bash-completion/completions/roost
      roost completion zsh > /usr/share/zsh/vendor-completions/_roost
      roost completion fish > ~/.config/fish/completions/roost.fish

    Parameters
    ----------
    shell
        Which shell it is for.
    """
    out = session.out(options)
    script = session.app.generate_completion(shell=shell)
    if out.json:
        out.document({"shell": shell, "script": script})
    else:
        # The script is this program's own text, and its line ends and escapes are meant.
        sys.stdout.write(script if script.endswith("\n") else f"{script}\n")
