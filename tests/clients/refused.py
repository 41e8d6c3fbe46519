"""Creates a task without the scopes for it, with the official Python client. Prints the error as JSON.

    refused.py <URL of the proxy>
"""

import json
import sys

import taskcluster
from taskcluster.exceptions import TaskclusterRestFailure


def main(proxy):
    queue = taskcluster.Queue({"rootUrl": proxy, "credentials": {}})
    task = {
        "taskQueueId": "harbour/crane",
        "created": taskcluster.fromNowJSON("0 seconds"),
        "deadline": taskcluster.fromNowJSON("1 hour"),
        "payload": {"command": "x" * 100_000},
        "metadata": {
            "name": "move the crane",
            "description": "to the left",
            "owner": "harbour@example.com",
            "source": "https://example.com/harbour",
        },
    }
    try:
        queue.createTask(taskcluster.slugId(), task)
    except TaskclusterRestFailure as error:
        print(json.dumps([error.status_code, error.body["code"], error.body["message"]]))


main(*sys.argv[1:])
