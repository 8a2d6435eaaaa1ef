"""``python -m ghn_init`` is ``ghn-init``; ``torchrun -m ghn_init train ...`` starts it in several processes."""

from ghn_init.cli import main

if __name__ == "__main__":
    main()
