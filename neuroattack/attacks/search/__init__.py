"""Parts of searches: the best image so far, proposals, and selection on fresh trials."""
