//! Writing entries below a root: never outside it, never more than allowed.
