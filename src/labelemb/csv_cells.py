"""Names in CSV files: spreadsheets run a cell that starts with one of some characters as a formula."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def protect(name: str) -> str:
    """Return a cell that a spreadsheet takes for text: an apostrophe comes before what could be a formula.

    >>> protect("=1+1"), protect("cat")
    ("'=1+1", 'cat')
    """
    return f"'{name}" if name.lstrip("'").startswith(FORMULA) else name


def unprotect(cell: str) -> str:
    """Return the name that ``protect`` made a cell of.

    >>> unprotect("'=1+1"), unprotect("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA) else cell
