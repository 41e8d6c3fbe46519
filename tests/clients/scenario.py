"""The official Python client, behind the proxy and without credentials of its own: what a task
does. Prints what it saw as JSON.

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
    # None of these has credentials: the proxy signs.
    auth, index, queue, secrets = (
        service({"rootUrl": proxy, "credentials": {}})
        for service in (taskcluster.Auth, taskcluster.Index, taskcluster.Queue, taskcluster.Secrets)
    )
    saw = {"currentScopes": auth.currentScopes()["scopes"]}
    saw["testAuthenticateGet"] = auth.testAuthenticateGet()["clientId"]
    test = {"clientScopes": ["test:*"], "requiredScopes": ["test:a"]}
    saw["testAuthenticate"] = auth.testAuthenticate(test)["scopes"]
    test["requiredScopes"] = ["another"]
    saw["insufficientScopes"] = refusal(auth.testAuthenticate, test)

    task_id = taskcluster.slugId()
    saw["taskId"] = task_id
    saw["createTask"] = queue.createTask(task_id, task())["status"]["state"]
    saw["task"] = queue.task(task_id)["metadata"]["name"]
    saw["status"] = queue.status(task_id)["status"]["state"]
    group = queue.listTaskGroup(queue.task(task_id)["taskGroupId"])
    saw["listTaskGroup"] = [entry["status"]["taskId"] for entry in group["tasks"]]
    worker = {"workerGroup": "quay", "workerId": "w1", "tasks": 1}
    saw["claimWork"] = [claim["status"]["taskId"] for claim in queue.claimWork(QUEUE, worker)["tasks"]]

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
    saw["upload"] = requests.put(created["putUrl"], data=CONTENT, headers=upload).status_code
    saw["getArtifact"] = requests.get(queue.getArtifact(task_id, "0", ARTIFACT)["url"]).text
    saw["redirected"] = requests.get(queue.buildUrl("getLatestArtifact", task_id, ARTIFACT)).text
    for run in ({"runId": "0"}, {}):
        content, content_type = downloadArtifactToBuf(
            queueService=queue, taskId=task_id, name=ARTIFACT, **run
        )
        saw.setdefault("downloaded", []).append([bytes(content).decode(), content_type])
    saw["reportCompleted"] = queue.reportCompleted(task_id, "0")["status"]["state"]

    secret = {"secret": {"key": "ü"}, "expires": taskcluster.fromNowJSON("1 hour")}
    secrets.set(SECRET, secret)
    saw["secret"] = secrets.get(SECRET)["secret"]
    saw["secrets"] = secrets.list()["secrets"]
    secrets.remove(SECRET)
    saw["removed"] = refusal(secrets.get, SECRET)

    entry = {"taskId": task_id, "rank": 1, "data": {}, "expires": taskcluster.fromNowJSON("1 hour")}
    index.insertTask(NAMESPACE, entry)
    saw["findTask"] = index.findTask(NAMESPACE)["taskId"]

    route = f"task/{task_id}/runs/0/artifacts/{requests.utils.quote(ARTIFACT, safe='')}"
    url = taskcluster_urls.api(deployment, "queue", "v1", route)
    saw["unsigned"] = requests.get(url).status_code
    signed = requests.post(f"{proxy}/bewit", data=url, allow_redirects=False)
    saw["bewit"] = {
        "status": signed.status_code,
        "location is the body": signed.headers["Location"] == signed.text,
        "content": requests.get(signed.text).text,
    }
    print(json.dumps(saw))


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
