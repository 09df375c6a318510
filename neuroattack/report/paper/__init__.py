"""The report of the paper's reproduction: pictures, tables, words, one page and one Markdown."""
