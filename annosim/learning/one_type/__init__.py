"""One type of annotator under Luce's rule: Newton on sufficient statistics, however many items."""
