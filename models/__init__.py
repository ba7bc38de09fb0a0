"""Pure torch and numpy: residuals, lenses, fingerprints, attribution, bundles. Never imports Beam."""
