//! A script that uses the hub's server functions: JSON in, JSON out, with a token.

use std::{collections::VecDeque, time::Duration};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::program::until;

/// What the hub answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Answer {
    /// The body of a good answer.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Asserts a refusal that says `expected`.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, expected: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert!(self.text.contains(expected), "expected \"{expected}\", got \"{}\"", self.text);
    }
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(url: &str, token: Option<&str>) -> Self {
        Self { http: http(), url: url.to_owned(), token: token.map(str::to_owned) }
    }

    /// A request of this client.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await.unwrap()
    }

    /// Calls a server function.
    pub(crate) async fn call(&self, name: &str, arguments: Value) -> Answer {
        self.try_call(name, arguments).await.unwrap()
    }

    /// Calls a server function of a hub that may be gone.
    pub(crate) async fn try_call(&self, name: &str, arguments: Value) -> reqwest::Result<Answer> {
        answer(self.request(Method::POST, &format!("/api/{name}")).json(&arguments)).await
    }

    /// Asks for an image; its view.
    pub(crate) async fn draw(&self, draft: Value) -> Value {
        self.call("draw_image", json!({ "draft": draft })).await.json()
    }

    /// One image.
    pub(crate) async fn image(&self, id: &Value) -> Value {
        self.call("get_image", json!({ "id": id })).await.json()
    }

    /// Waits until `holds` of the image.
    pub(crate) async fn image_when(
        &self,
        id: &Value,
        what: &str,
        seconds: u64,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        let limit = Duration::from_secs(seconds);
        let began = std::time::Instant::now();
        until(what, 2 * limit, async || {
            last = self.image(id).await;
            let held = holds(&last);
            assert!(held || began.elapsed() < limit, "not within {seconds} s: {what}; it is {last}");
            held.then(|| last.clone())
        })
        .await
    }

    /// Waits until the image has ended.
    pub(crate) async fn ended(&self, id: &Value, seconds: u64) -> Value {
        let over = |view: &Value| !matches!(view["status"].as_str(), Some("queued" | "running"));
        self.image_when(id, &format!("image {id} ends"), seconds, over).await
    }

    /// Draws to the end, which must be a good one.
    pub(crate) async fn drawn(&self, draft: Value, seconds: u64) -> Value {
        let id = self.draw(draft).await["id"].clone();
        let view = self.ended(&id, seconds).await;
        assert_eq!(view["status"], "done", "{view}");
        view
    }

    /// Adds a ComfyUI service and gives it work; its id.
    pub(crate) async fn service(&self, name: &str, base_url: &str) -> Value {
        let draft =
            json!({ "name": name, "kind": "comfyui", "base_url": base_url, "auth": null, "price_per_hour": 360_000 });
        let id = self.call("add_service", json!({ "draft": draft })).await.json()["id"].clone();
        let view = self.call("set_service_active", json!({ "id": id, "active": true })).await.json();
        assert_eq!(view["active"], true);
        id
    }

    /// The file of a picture or preview.
    pub(crate) async fn bytes(&self, path: &str) -> Vec<u8> {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.bytes().await.unwrap().to_vec()
    }

    /// The pixels of an image's `n`th picture.
    pub(crate) async fn pixels(&self, view: &Value, n: usize) -> image::RgbaImage {
        let sha256 = view["pictures"][n]["sha256"].as_str().unwrap_or_else(|| panic!("no picture {n}: {view}"));
        image::load_from_memory(&self.bytes(&format!("/pictures/{sha256}")).await).unwrap().to_rgba8()
    }

    /// Opens `/live`.
    pub(crate) async fn live(&self) -> Live {
        let response = self.request(Method::GET, "/live").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Live { response, text: String::new(), heard: VecDeque::new() }
    }
}

/// The client of all clients: no redirects, no proxy, no patience without end.
pub(crate) fn http() -> reqwest::Client {
    // Another test may have been first; one provider is as good as the other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.timeout(Duration::from_secs(120)).build().unwrap()
}

/// Sends, and reads the whole answer.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.header("accept", "application/json").send().await?;
    Ok(Answer { status: response.status(), text: response.text().await? })
}

/// The stream `/live`.
pub(crate) struct Live {
    response: reqwest::Response,
    text: String,
    heard: VecDeque<(String, Value)>,
}

impl Live {
    /// The next message: event and data. `None` when the stream has ended or nothing was heard for 60 s.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(message) = self.heard.pop_front() {
                return Some(message);
            }
            let piece = tokio::time::timeout(Duration::from_secs(60), self.response.chunk()).await.ok()?.ok()??;
            self.text.push_str(&String::from_utf8_lossy(&piece));
            while let Some((message, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let (Some(event), Some(data)) = (field("event:"), field("data:")) {
                    self.heard.push_back((event.to_owned(), serde_json::from_str(data).unwrap()));
                }
                self.text = rest.to_owned();
            }
        }
    }
}
