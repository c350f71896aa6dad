//! What steps may use and nobody may read.
