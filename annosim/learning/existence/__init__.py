"""Does the estimate exist? Connectedness, separation, levels of ratings, attention of annotators."""
