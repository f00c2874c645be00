"""From runs to answers: the choice on validation, tables, figures."""
