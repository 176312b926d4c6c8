"""`python -m facetell` is `facetell`."""

from facetell.cli import main

if __name__ == "__main__":
    main()
