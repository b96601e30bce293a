"""SHAP values, by derivatives and by coalitions."""
