-- Asked by the role: whether rows are kept from it.
SELECT pg_catalog.row_security_active('quintet.runs'), current_user::text
