//! Namespaces as data: who exists, who is suspended, and how much each may use.
