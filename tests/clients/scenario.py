"""Sends the requests of a task through the proxy with the official Python client, which has no
credentials. Prints the results as JSON.

    scenario.py <URL of the proxy> <root URL of the deployment behind it>
"""

import json
import sys

import requests
import taskcluster
import taskcluster_urls
from taskcluster.download import downloadArtifactToBuf
from taskcluster.exceptions import TaskclusterRestFailure

ARTIFACT = "project/harbour/a report.txt"
CONTENT = "The crane has moved.\n"
NAMESPACE = "project.harbour.latest"
QUEUE = "harbour/crane"
SECRET = "project/harbour/key"


def main(proxy, deployment):
    # The clients have no credentials: the proxy signs.
    auth, index, queue, secrets = (
        service({"rootUrl": proxy, "credentials": {}})
        for service in (taskcluster.Auth, taskcluster.Index, taskcluster.Queue, taskcluster.Secrets)
    )
    results = {"currentScopes": auth.currentScopes()["scopes"]}
    results["testAuthenticateGet"] = auth.testAuthenticateGet()["clientId"]
    test = {"clientScopes": ["test:*"], "requiredScopes": ["test:a"]}
    results["testAuthenticate"] = auth.testAuthenticate(test)["scopes"]
    test["requiredScopes"] = ["another"]
    results["insufficientScopes"] = refusal(auth.testAuthenticate, test)

    task_id = taskcluster.slugId()
    results["taskId"] = task_id
    results["createTask"] = queue.createTask(task_id, task())["status"]["state"]
    results["task"] = queue.task(task_id)["metadata"]["name"]
    results["status"] = queue.status(task_id)["status"]["state"]
    group = queue.listTaskGroup(queue.task(task_id)["taskGroupId"])
    results["listTaskGroup"] = [entry["status"]["taskId"] for entry in group["tasks"]]
    worker = {"workerGroup": "quay", "workerId": "w1", "tasks": 1}
    results["claimWork"] = [claim["status"]["taskId"] for claim in queue.claimWork(QUEUE, worker)["tasks"]]

    created = queue.createArtifact(
        task_id,
        "0",
        ARTIFACT,
        {
            "storageType": "s3",
            "contentType": "text/plain",
            "expires": taskcluster.fromNowJSON("1 hour"),
        },
    )
    upload = {"Content-Type": "text/plain"}
    results["upload"] = requests.put(created["putUrl"], data=CONTENT, headers=upload).status_code
    results["getArtifact"] = requests.get(queue.getArtifact(task_id, "0", ARTIFACT)["url"]).text
    results["redirected"] = requests.get(queue.buildUrl("getLatestArtifact", task_id, ARTIFACT)).text
    for run in ({"runId": "0"}, {}):
        content, content_type = downloadArtifactToBuf(
            queueService=queue, taskId=task_id, name=ARTIFACT, **run
        )
        results.setdefault("downloaded", []).append([bytes(content).decode(), content_type])
    results["reportCompleted"] = queue.reportCompleted(task_id, "0")["status"]["state"]

    secret = {"secret": {"key": "ü"}, "expires": taskcluster.fromNowJSON("1 hour")}
    secrets.set(SECRET, secret)
    results["secret"] = secrets.get(SECRET)["secret"]
    results["secrets"] = secrets.list()["secrets"]
    secrets.remove(SECRET)
    results["removed"] = refusal(secrets.get, SECRET)

    entry = {"taskId": task_id, "rank": 1, "data": {}, "expires": taskcluster.fromNowJSON("1 hour")}
    index.insertTask(NAMESPACE, entry)
    results["findTask"] = index.findTask(NAMESPACE)["taskId"]

    route = f"task/{task_id}/runs/0/artifacts/{requests.utils.quote(ARTIFACT, safe='')}"
    url = taskcluster_urls.api(deployment, "queue", "v1", route)
    results["unsigned"] = requests.get(url).status_code
    signed = requests.post(f"{proxy}/bewit", data=url, allow_redirects=False)
    results["bewit"] = {
        "status": signed.status_code,
        "location is the body": signed.headers["Location"] == signed.text,
        "content": requests.get(signed.text).text,
    }
    print(json.dumps(results))


def task():
    return {
        "taskQueueId": QUEUE,
        "created": taskcluster.fromNowJSON("0 seconds"),
        "deadline": taskcluster.fromNowJSON("1 hour"),
        "payload": {},
        "metadata": {
            "name": "move the crane",
            "description": "to the left",
            "owner": "harbour@example.com",
            "source": "https://example.com/harbour",
        },
    }


def refusal(method, *arguments):
    try:
        method(*arguments)
    except TaskclusterRestFailure as error:
        return [error.status_code, error.body["code"]]


if __name__ == "__main__":
    main(*sys.argv[1:])
