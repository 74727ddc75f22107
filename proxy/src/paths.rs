//! `NAME=TARGET`: the paths over which the load travels.
