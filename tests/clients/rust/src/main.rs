//! Sends the requests of a task through the proxy with the official Rust client, which has no
//! credentials, as in scenario.py; also tests its pagination and errors. Prints the results as JSON.
//!
//! ```text
//! taskcluster-proxy-client-scenario <URL of the proxy> <root URL of the deployment behind it>
//! ```

use anyhow::{Context as _, Result, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use taskcluster::chrono::{Duration, Utc};
use taskcluster::{Auth, Index, Queue, Secrets, err_status_code};

const ARTIFACT: &str = "project/harbour/a report.txt";
const CONTENT: &str = "The crane has moved.\n";
const NAMESPACE: &str = "project.harbour.latest";
const QUEUE: &str = "harbour/crane";
const SECRET: &str = "project/harbour/key";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().context("expected the proxy's URL and a root URL");
    let (proxy, deployment) = (argument()?, argument()?);
    println!("{}", scenario(&proxy, &deployment).await?);
    Ok(())
}

async fn scenario(proxy: &str, deployment: &str) -> Result<Value> {
    // The clients have no credentials: the proxy signs.
    let (auth, index) = (Auth::new(proxy)?, Index::new(proxy)?);
    let (queue, secrets) = (Queue::new(proxy)?, Secrets::new(proxy)?);
    let http = reqwest::Client::new();
    let mut results = json!({});

    results["currentScopes"] = auth.currentScopes().await?["scopes"].take();
    results["testAuthenticateGet"] = auth.testAuthenticateGet().await?["clientId"].take();
    let mut test = json!({ "clientScopes": ["test:*"], "requiredScopes": ["test:a"] });
    results["testAuthenticate"] = auth.testAuthenticate(&test).await?["scopes"].take();
    test["requiredScopes"] = json!(["another"]);
    results["insufficientScopes"] = refusal(auth.testAuthenticate(&test).await)?;

    let task_id = slugid::v4();
    results["taskId"] = json!(task_id);
    let mut created = queue.createTask(&task_id, &task(None)).await?;
    results["createTask"] = created["status"]["state"].take();
    let mut definition = queue.task(&task_id).await?;
    results["task"] = definition["metadata"]["name"].take();
    results["status"] = queue.status(&task_id).await?["status"]["state"].take();
    let group = definition["taskGroupId"].as_str().context("no taskGroupId")?;
    let listed = queue.listTaskGroup(group, None, None).await?;
    results["listTaskGroup"] = task_ids(&listed);
    let worker = json!({ "workerGroup": "quay", "workerId": "w1", "tasks": 1 });
    results["claimWork"] = task_ids(&queue.claimWork(QUEUE, &worker).await?);

    let artifact = json!({
        "storageType": "s3",
        "contentType": "text/plain",
        "expires": Utc::now() + Duration::hours(1),
    });
    let created = queue.createArtifact(&task_id, "0", ARTIFACT, &artifact).await?;
    let url = created["putUrl"].as_str().context("no putUrl")?;
    let upload = http.put(url).header("Content-Type", "text/plain").body(CONTENT);
    results["upload"] = json!(upload.send().await?.status().as_u16());
    let found = queue.getArtifact(&task_id, "0", ARTIFACT).await?;
    results["getArtifact"] = content(&http, found["url"].as_str().context("no url")?).await?.0;
    let latest = queue.getLatestArtifact_url(&task_id, ARTIFACT)?;
    results["redirected"] = content(&http, &latest).await?.0;
    let of_run = queue.artifact(&task_id, "0", ARTIFACT).await?;
    let of_latest = queue.latestArtifact(&task_id, ARTIFACT).await?;
    let mut downloaded = Vec::new();
    for found in [of_run, of_latest] {
        let (text, content_type) = content(&http, found["url"].as_str().context("no url")?).await?;
        downloaded.push(json!([text, content_type]));
    }
    results["downloaded"] = json!(downloaded);
    let mut completed = queue.reportCompleted(&task_id, "0").await?;
    results["reportCompleted"] = completed["status"]["state"].take();

    let secret = json!({ "secret": { "key": "ü" }, "expires": Utc::now() + Duration::hours(1) });
    secrets.set(SECRET, &secret).await?;
    results["secret"] = secrets.get(SECRET).await?["secret"].take();
    results["secrets"] = secrets.list(None, None).await?["secrets"].take();
    secrets.remove(SECRET).await?;
    results["removed"] = refusal(secrets.get(SECRET).await)?;

    let entry = json!({ "taskId": task_id, "rank": 1, "data": {}, "expires": Utc::now() + Duration::hours(1) });
    index.insertTask(NAMESPACE, &entry).await?;
    results["findTask"] = index.findTask(NAMESPACE).await?["taskId"].take();

    let name = utf8_percent_encode(ARTIFACT, NON_ALPHANUMERIC);
    let url = format!("{deployment}/api/queue/v1/task/{task_id}/runs/0/artifacts/{name}");
    results["unsigned"] = json!(http.get(&url).send().await?.status().as_u16());
    let once = reqwest::Client::builder().redirect(Policy::none()).build()?;
    let signed = once.post(format!("{proxy}/bewit")).body(url).send().await?;
    let status = signed.status().as_u16();
    let location = signed.headers().get("location").cloned().context("no Location")?;
    let text = signed.text().await?;
    results["bewit"] = json!({
        "status": status,
        "location is the body": location == text.as_str(),
        "content": content(&http, &text).await?.0,
    });

    results["pages"] = pages(&queue, group).await?;
    results["notFound"] = refusal(queue.task("A-task-that-is-not-there").await)?;
    Ok(results)
}

/// Lists a task group of three tasks in pages of two; returns how many tasks each page has.
async fn pages(queue: &Queue, group: &str) -> Result<Value> {
    for _ in 0..2 {
        queue.createTask(&slugid::v4(), &task(Some(group))).await?;
    }
    let (mut counts, mut token) = (Vec::new(), None::<String>);
    loop {
        let page = queue.listTaskGroup(group, token.as_deref(), Some("2")).await?;
        counts.push(page["tasks"].as_array().map_or(0, Vec::len));
        match page["continuationToken"].as_str() {
            Some(next) => token = Some(next.to_owned()),
            None => return Ok(json!(counts)),
        }
    }
}

fn task(group: Option<&str>) -> Value {
    let mut task = json!({
        "taskQueueId": QUEUE,
        "created": Utc::now(),
        "deadline": Utc::now() + Duration::hours(1),
        "payload": {},
        "metadata": {
            "name": "move the crane",
            "description": "to the left",
            "owner": "harbour@example.com",
            "source": "https://example.com/harbour",
        },
    });
    if let Some(group) = group {
        task["taskGroupId"] = json!(group);
    }
    task
}

fn task_ids(list: &Value) -> Value {
    let tasks = list["tasks"].as_array().into_iter().flatten();
    tasks.map(|entry| entry["status"]["taskId"].clone()).collect()
}

/// The content at a URL, after redirects, and its media type.
async fn content(http: &reqwest::Client, url: &str) -> Result<(Value, Value)> {
    let response = http.get(url).send().await?.error_for_status()?;
    let content_type = response.headers().get("content-type").cloned();
    let content_type = content_type.context("no Content-Type")?.to_str()?.to_owned();
    Ok((json!(response.text().await?), json!(content_type)))
}

/// The status of an error, and the message that this client shows.
fn refusal(result: Result<Value>) -> Result<Value> {
    match result {
        Ok(_) => bail!("expected an error, found a response"),
        Err(error) => {
            let status = err_status_code(&error).map(|status| status.as_u16());
            Ok(json!([status, error.to_string()]))
        }
    }
}
