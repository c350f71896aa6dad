//! The connection to one server: addresses, credentials, requests.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Response;
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::error::{ApiError, Error};
use crate::model::Page;
use crate::tls::Tls;
use crate::transport::{Transport, reason};
use crate::{
    Approvals, Audit, Auth, Backends, DeadLetters, Maintenance, Namespaces, Nodes, Pipelines, Queues, Runs, Schedules,
    Secrets, Services, Tasks, Templates, Workflows,
};

/// Entries of a page, where all pages are asked for.
const PAGE: u32 = 1_000;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 << 20;

/// Speaks to one server. Cheap to clone; the clones share connections.
#[derive(Clone)]
pub struct Client {
    base: Arc<Url>,
    transport: Transport,
    authorization: Option<HeaderValue>,
    namespace: Option<HeaderValue>,
}

/// One request, before it is sent.
pub(crate) struct Call {
    pub method: Method,
    /// Segments of the path, unescaped.
    pub path: Vec<String>,
    pub query: Vec<(&'static str, String)>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Bytes>,
}

impl Call {
    pub fn get(path: &[&str]) -> Self {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Self {
            method: Method::GET,
            path,
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        }
    }

    pub fn delete(path: &[&str]) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path)
        }
    }

    pub fn post(path: &[&str], body: &impl Serialize) -> Self {
        // A value that came out of serde_json or out of this crate's own types always has a JSON form.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self {
            method: Method::POST,
            body: Some(body.into()),
            ..Self::get(path)
        }
    }

    pub fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub fn header(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.headers.extend(value.map(|value| (name, value.to_string())));
        self
    }
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8080` or `https://quintet.example/prefix`.
    pub fn new(base: &str) -> Result<Self, Error> {
        Self::with_tls(base, &Tls::default())
    }

    /// The same with certificates of one's own, which only `https` addresses use.
    pub fn with_tls(base: &str, tls: &Tls) -> Result<Self, Error> {
        let bad = |reason: String| Error::BadUrl {
            url: base.to_owned(),
            reason,
        };
        let url = Url::parse(base).map_err(|error| bad(error.to_string()))?;
        let transport = match url.scheme() {
            "http" => Transport::plain(),
            "https" => Transport::tls(tls).map_err(bad)?,
            _ => return Err(bad("it must begin with http:// or https://".to_owned())),
        };
        Ok(Self {
            base: Arc::new(url),
            transport,
            authorization: None,
            namespace: None,
        })
    }

    /// The same client with a key. A key with line breaks or other control characters is left out.
    #[must_use]
    pub fn with_api_key(mut self, key: &str) -> Self {
        self.authorization = HeaderValue::from_str(&format!("Bearer {key}")).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// The same client in a namespace, for whoever belongs to all of them. A name that cannot be in a header is left out.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = HeaderValue::from_str(namespace).ok();
        self
    }

    /// The server's address.
    pub fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Workflows.
    pub fn workflows(&self) -> Workflows<'_> {
        Workflows(self)
    }

    /// Runs.
    pub fn runs(&self) -> Runs<'_> {
        Runs(self)
    }

    /// Keys, and who one is to the server.
    pub fn auth(&self) -> Auth<'_> {
        Auth(self)
    }

    /// Built-in workflows.
    pub fn templates(&self) -> Templates<'_> {
        Templates(self)
    }

    /// Steps that wait for a person.
    pub fn approvals(&self) -> Approvals<'_> {
        Approvals(self)
    }

    /// Who did what.
    pub fn audit(&self) -> Audit<'_> {
        Audit(self)
    }

    /// Who is served, and how much each may use.
    pub fn namespaces(&self) -> Namespaces<'_> {
        Namespaces(self)
    }

    /// What is started again and again.
    pub fn schedules(&self) -> Schedules<'_> {
        Schedules(self)
    }

    /// What steps may send and nobody may read.
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets(self)
    }

    /// The processes that work on the store.
    pub fn nodes(&self) -> Nodes<'_> {
        Nodes(self)
    }

    /// Pipelines and their runs.
    pub fn pipelines(&self) -> Pipelines<'_> {
        Pipelines(self)
    }

    /// Services whose workers have registered.
    pub fn services(&self) -> Services<'_> {
        Services(self)
    }

    /// Tasks that failed for good.
    pub fn dead_letters(&self) -> DeadLetters<'_> {
        DeadLetters(self)
    }

    /// Maintenance: nothing new is taken in.
    pub fn maintenance(&self) -> Maintenance<'_> {
        Maintenance(self)
    }

    /// Tasks in queues in front of compute backends.
    pub fn tasks(&self) -> Tasks<'_> {
        Tasks(self)
    }

    /// The queues that tasks and pipelines wait in.
    pub fn queues(&self) -> Queues<'_> {
        Queues(self)
    }

    /// What does the work of tasks.
    pub fn backends(&self) -> Backends<'_> {
        Backends(self)
    }

    /// What the server says about itself.
    pub async fn health(&self) -> Result<Value, Error> {
        self.json(Call::get(&["health"])).await
    }

    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let bytes = self.bytes(call).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.protocol(error.to_string()))
    }

    /// One page of a list.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        path: &[&str],
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<T>, Error> {
        let call = Call::get(path).query("cursor", cursor).query("limit", limit);
        self.json(call).await
    }

    /// A whole list, page by page.
    pub(crate) async fn pages<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Vec<T>, Error> {
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = self.page(path, cursor.as_deref(), Some(PAGE)).await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    pub(crate) async fn bytes(&self, call: Call) -> Result<Bytes, Error> {
        let answer = self.open(call).await?;
        self.read(answer).await
    }

    /// Sends the request and gives the answer with its body unread, if it is a good one.
    pub(crate) async fn open(&self, call: Call) -> Result<Response<Incoming>, Error> {
        let request = self.request(call)?;
        let answer = self
            .transport
            .send(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = self.read(answer).await?;
        Err(ApiError::read(status, &body).into())
    }

    fn request(&self, call: Call) -> Result<Request<Full<Bytes>>, Error> {
        let mut url = Url::clone(&self.base);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = Request::builder().method(call.method).uri(url.as_str());
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("x-quintet-namespace", namespace);
        }
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if !call.headers.iter().any(|(name, _)| *name == "accept") {
            // The original's endpoints explain themselves in plain text to whoever does not ask for more.
            request = request.header(header::ACCEPT, "application/json");
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let body = Full::new(call.body.unwrap_or_default());
        request.body(body).map_err(|error| self.bad_url(error.to_string()))
    }

    async fn read(&self, answer: Response<Incoming>) -> Result<Bytes, Error> {
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        Ok(body.map_err(|error| self.unreachable(error.as_ref()))?.to_bytes())
    }

    pub(crate) fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        Error::Unreachable {
            url: self.base().to_owned(),
            reason: reason(error),
        }
    }

    pub(crate) fn protocol(&self, reason: String) -> Error {
        Error::Protocol {
            url: self.base().to_owned(),
            reason,
        }
    }

    fn bad_url(&self, reason: String) -> Error {
        Error::BadUrl {
            url: self.base().to_owned(),
            reason,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base())
            .field("has_key", &self.authorization.is_some())
            .finish()
    }
}
