//! Every door of the program, knocked at by those who may not come in.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    client::{Client, answer},
    program::{Folder, Hub, PASSWORD, done, run, token},
};

/// Pages and other routes that only a known visitor may see. `/pictures/…` and so on with anything after.
const CLOSED: [&str; 12] = [
    "/overview", "/images", "/services", "/settings", "/live", "/uploads", "/logout", "/pictures/0000",
    "/images/0198c0de-0000-7000-8000-000000000000", "/images/x/preview", "/api/nonsense", "/nonsense",
];
/// What anybody may see.
const OPEN: [&str; 5] = ["/", "/login", "/setup", "/healthz", "/readyz"];
/// Server functions that a viewer may call. Every other one writes, or shows what is not a viewer's.
const LOOKS: [&str; 0] = [];

fn server_functions() -> Vec<&'static str> {
    let mut paths = app::site::server_functions();
    paths.sort_unstable();
    paths
}
