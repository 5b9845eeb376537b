"""``python -m invlightning`` is the command ``invlightning``."""

from invlightning_start import main

if __name__ == "__main__":
    main()
