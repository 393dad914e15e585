"""Charts of the report: each function returns one matplotlib figure, used for the image files and for the page."""
