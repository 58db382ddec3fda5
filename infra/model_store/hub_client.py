"""These files of the hub into a folder, a process of its own: `python hub_client.py REPOSITORY REVISION FOLDER FILE…`."""

from __future__ import annotations

import sys

from huggingface_hub import hf_hub_download


def main() -> int:
    """0 when all is there; else one line on standard error says what was in the way."""
    repository, revision, folder, *names = sys.argv[1:]
    try:
        for name in names:
            hf_hub_download(repository, name, revision=revision, local_dir=folder)
    except (OSError, ValueError, RuntimeError) as error:  # the hub's and the network's own are among these
        sys.stderr.write(" ".join(f"{type(error).__name__}: {error}".split()) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
