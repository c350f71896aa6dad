//! Buckets of services: S3 and its likes, and Google Cloud Storage.
//!
//! The addressing is that of the workers' SDK, so that both sides talk to the same bucket: a backend of provider
//! `aws-s3` with an endpoint of its own is addressed by virtual host (`bucket.host`), except where a bucket's name cannot
//! be part of a host name or the host is an address; `minio` always by path.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{Attribute, Attributes, BackoffConfig, ObjectStore, ObjectStoreExt, PutOptions, RetryConfig};
use serde_json::json;
use url::{Host, Url};

use super::backend::{AWS_ENDPOINT, Backend, Credentials, GCS_ENDPOINT, Provider};
use super::bucket::{Driver, Durability, Failure, Metadata, Reading};
use super::key::Key;
use super::transport::Transport;

/// Where neither the settings nor the endpoint say another.
const DEFAULT_REGION: &str = "us-east-1";
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// A bucket of a service.
#[derive(Debug)]
pub(super) struct Remote(Arc<dyn ObjectStore>);

impl Remote {
    /// Opens the bucket of a backend that is not local. Nothing is sent yet.
    pub fn open(backend: &Backend, transport: &Transport) -> Result<Self, String> {
        let opened = match &backend.credentials {
            Credentials::Local { .. } => Err("a local folder is no service".to_owned()),
            Credentials::Gcs {
                client_email,
                private_key,
                ..
            } => gcs(backend, client_email, private_key.reveal(), transport),
            Credentials::AwsS3 {
                access_key_id: key,
                secret_access_key: secret,
                session_token,
            } => {
                let builder = s3(backend, key.reveal(), secret.reveal(), transport)?;
                let builder = match session_token {
                    Some(token) => builder.with_token(token.reveal()),
                    None => builder,
                };
                builder
                    .build()
                    .map(|store| Arc::new(store) as _)
                    .map_err(|error| error.to_string())
            }
            Credentials::Minio { access_key, secret_key } => {
                let builder = s3(backend, access_key.reveal(), secret_key.reveal(), transport)?;
                builder
                    .build()
                    .map(|store| Arc::new(store) as _)
                    .map_err(|error| error.to_string())
            }
        };
        opened.map(Self)
    }
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: FIRST_BACKOFF,
            max_backoff: LONGEST_BACKOFF,
            base: 2.0,
        },
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
    }
}

fn s3(backend: &Backend, key: &str, secret: &str, transport: &Transport) -> Result<AmazonS3Builder, String> {
    let region = backend.region.as_deref().unwrap_or(DEFAULT_REGION);
    let place = Place::of(backend, region)?;
    Ok(AmazonS3Builder::new()
        .with_bucket_name(&backend.bucket)
        .with_region(region)
        .with_access_key_id(key)
        .with_secret_access_key(secret)
        .with_endpoint(place.endpoint)
        .with_virtual_hosted_style_request(place.addressing == Addressing::VirtualHost)
        // One DELETE for one object: not all services of the kind have the bulk request.
        .with_disable_bulk_delete(true)
        .with_retry(retries())
        .with_http_connector(transport.clone()))
}

/// How a bucket is named in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addressing {
    Path,
    VirtualHost,
}

/// Where a bucket is: with virtual hosts, the bucket is a part of the endpoint.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    endpoint: String,
    addressing: Addressing,
}

impl Place {
    fn of(backend: &Backend, region: &str) -> Result<Self, String> {
        let is_aws = backend.provider == Provider::AwsS3;
        let endpoint = if is_aws && backend.endpoint == AWS_ENDPOINT {
            let country = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://s3.{region}.amazonaws.com{country}")
        } else {
            backend.endpoint.clone()
        };
        let mut url = Url::parse(&endpoint).map_err(|error| format!("endpoint: {error}"))?;
        let dots = if url.scheme() == "http" {
            Dots::Allowed
        } else {
            Dots::Refused
        };
        let host = match url.host() {
            Some(Host::Domain(host)) if is_aws && fits_in_host(&backend.bucket, dots) => Some(host.to_owned()),
            _ => None,
        };
        let addressing = match &host {
            Some(host) => {
                let host = format!("{}.{host}", backend.bucket);
                url.set_host(Some(&host))
                    .map_err(|error| format!("endpoint: {error}"))?;
                Addressing::VirtualHost
            }
            None => Addressing::Path,
        };
        Ok(Self {
            endpoint: url.as_str().trim_end_matches('/').to_owned(),
            addressing,
        })
    }
}

/// Whether dots may be in the part of a host name: a certificate's wildcard stands for one label only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dots {
    Allowed,
    Refused,
}

/// AWS's own rule for buckets that can be a part of a host name.
fn fits_in_host(bucket: &str, dots: Dots) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits =
        |label: &str| !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-');
    let labels: Vec<&str> = bucket.split('.').collect();
    (3..=63).contains(&bucket.len())
        && labels.iter().all(|label| fits(label))
        && (labels.len() == 1 || (dots == Dots::Allowed && bucket.parse::<std::net::Ipv4Addr>().is_err()))
}

fn gcs(
    backend: &Backend,
    client_email: &str,
    private_key: &str,
    transport: &Transport,
) -> Result<Arc<dyn ObjectStore>, String> {
    let account = json!({ "private_key": private_key, "private_key_id": "", "client_email": client_email });
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&backend.bucket)
        .with_service_account_key(account.to_string())
        .with_retry(retries())
        .with_http_connector(transport.clone());
    let endpoint = backend.endpoint.trim_end_matches('/');
    if endpoint != GCS_ENDPOINT {
        builder = builder.with_base_url(endpoint);
    }
    builder
        .build()
        .map(|store| Arc::new(store) as _)
        .map_err(|error| error.to_string())
}

#[async_trait]
impl Driver for Remote {
    async fn put(&self, key: &Key, content: Bytes, content_type: &str, _: Durability) -> Result<(), Failure> {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, content_type.to_owned().into());
        let options = PutOptions {
            attributes,
            ..PutOptions::default()
        };
        self.0
            .put_opts(&path(key)?, content.into(), options)
            .await
            .map_err(failure)?;
        Ok(())
    }

    async fn read(&self, key: &Key) -> Result<Reading, Failure> {
        let got = self.0.get(&path(key)?).await.map_err(failure)?;
        Ok(Reading {
            metadata: Metadata {
                size_bytes: got.meta.size,
                content_type: content_type(&got.attributes),
            },
            chunks: got.into_stream().map_err(failure).boxed(),
        })
    }

    async fn head(&self, key: &Key) -> Result<Metadata, Failure> {
        let options = object_store::GetOptions {
            head: true,
            ..Default::default()
        };
        let got = self.0.get_opts(&path(key)?, options).await.map_err(failure)?;
        Ok(Metadata {
            size_bytes: got.meta.size,
            content_type: content_type(&got.attributes),
        })
    }

    async fn delete(&self, key: &Key) -> Result<(), Failure> {
        self.0.delete(&path(key)?).await.map_err(failure)
    }
}

fn content_type(attributes: &Attributes) -> Option<String> {
    attributes.get(&Attribute::ContentType).map(|value| value.to_string())
}

fn path(key: &Key) -> Result<Path, Failure> {
    // A checked key is a path already, letter for letter.
    Path::parse(key.as_str()).map_err(|error| Failure::permanent(error.to_string()))
}

fn failure(error: object_store::Error) -> Failure {
    use object_store::Error;
    let is_retryable = match &error {
        // A bucket that is missing is not an object that is missing.
        Error::NotFound { source, .. } if !source.to_string().contains("NoSuchBucket") => return Failure::Missing,
        Error::Generic { .. } => is_passing(&error.to_string()),
        Error::JoinError { .. } => true,
        _ => false,
    };
    Failure::Other {
        reason: error.to_string(),
        is_retryable,
    }
}

/// Whether another answer may come later. The library keeps the status that it gave up on to itself, and tells it only
/// in its text; what has no status did not get an answer at all.
fn is_passing(text: &str) -> bool {
    let status = text
        .split_once("status code: ")
        .and_then(|(_, rest)| rest.get(..3)?.parse().ok());
    match status {
        Some(408 | 429 | 500..) => true,
        Some(_) => false,
        // A region that is not the bucket's.
        None => !text.contains("redirect without LOCATION"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::backend::tests::of;

    fn place(provider: &str, endpoint: &str, bucket: &str, region: &str) -> (String, Addressing) {
        let backend = of(
            json!({ "id": "x", "provider": provider, "endpoint": endpoint, "bucket": bucket,
                                 "credentials": { "accessKey": "k", "secretKey": "s" } }),
        );
        let place = Place::of(&backend.unwrap(), region).unwrap();
        (place.endpoint, place.addressing)
    }

    #[test]
    fn aws_itself_is_addressed_in_its_region() {
        let aws = |bucket, region| place("aws-s3", AWS_ENDPOINT, bucket, region);
        let host = |endpoint: &str| (endpoint.to_owned(), Addressing::VirtualHost);
        assert_eq!(
            aws("prod", "eu-west-1"),
            host("https://prod.s3.eu-west-1.amazonaws.com")
        );
        assert_eq!(
            aws("prod", "cn-north-1"),
            host("https://prod.s3.cn-north-1.amazonaws.com.cn")
        );
        let path = ("https://s3.eu-west-1.amazonaws.com".to_owned(), Addressing::Path);
        assert_eq!(aws("with.dots", "eu-west-1"), path);
        assert_eq!(aws("Upper", "eu-west-1"), path);
    }

    #[test]
    fn another_endpoint_is_addressed_by_virtual_host_unless_it_is_an_address() {
        let other = |endpoint, bucket| place("aws-s3", endpoint, bucket, DEFAULT_REGION);
        let host = |endpoint: &str| (endpoint.to_owned(), Addressing::VirtualHost);
        let path = |endpoint: &str| (endpoint.to_owned(), Addressing::Path);
        assert_eq!(
            other("http://localhost:9000/", "dev"),
            host("http://dev.localhost:9000")
        );
        assert_eq!(
            other("https://s3.example.com/base", "dev"),
            host("https://dev.s3.example.com/base")
        );
        assert_eq!(other("http://s3.example.com", "a.b"), host("http://a.b.s3.example.com"));
        assert_eq!(other("https://s3.example.com", "a.b"), path("https://s3.example.com"));
        assert_eq!(other("http://127.0.0.1:9000", "dev"), path("http://127.0.0.1:9000"));
        assert_eq!(other("http://[::1]:9000", "dev"), path("http://[::1]:9000"));
        assert_eq!(
            other("https://s3.amazonaws.com/", "dev"),
            host("https://dev.s3.amazonaws.com")
        );
    }

    #[test]
    fn only_what_may_change_by_itself_is_worth_another_try() {
        for (text, is_worth_it) in [
            ("Server returned non-2xx status code: 503 Service Unavailable: ", true),
            ("Server returned non-2xx status code: 429 Too Many Requests: ", true),
            (
                "Server returned non-2xx status code: 400 Bad Request: <Code>ExpiredToken</Code>",
                false,
            ),
            ("Received redirect without LOCATION, this normally indicates", false),
            ("HTTP error: client error (Connect)", true),
        ] {
            assert_eq!(is_passing(text), is_worth_it, "{text}");
        }
    }

    #[test]
    fn minio_is_addressed_by_path() {
        let minio = place("minio", "http://localhost:9000", "dev", DEFAULT_REGION);
        assert_eq!(minio, ("http://localhost:9000".to_owned(), Addressing::Path));
    }

    #[test]
    fn a_bucket_fits_in_a_host_name_by_its_letters_and_length() {
        for bucket in ["abc", "a-b-1", &"x".repeat(63)] {
            assert!(fits_in_host(bucket, Dots::Refused), "{bucket}");
        }
        for bucket in ["ab", "-ab", "ab-", "a_b", "Abc", "a.b", &"x".repeat(64)] {
            assert!(!fits_in_host(bucket, Dots::Refused), "{bucket}");
        }
        assert!(fits_in_host("a.bc", Dots::Allowed));
        assert!(!fits_in_host("a..b", Dots::Allowed));
        assert!(!fits_in_host("127.0.0.1", Dots::Allowed));
    }
}
