"""SHAP values: by rules, by derivatives and by coalitions."""
