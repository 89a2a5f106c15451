"""botocore's S3 client, set up as the registry's driver sets up its own.

botocore travels in an archive of its own and is imported only where an object store is used.
"""

from __future__ import annotations

import atexit
import os
import shutil
import ssl
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from pruner.errors import ConfigError
from pruner.registry.s3parameters import S3Parameters
from pruner.storage.s3.errors import refuse_another_region

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 25.0
ATTEMPTS = 6
_LONGEST_BACK_OFF = 1 + 2 + 4 + 8 + 16  # botocore doubles from a second, with jitter downwards

REQUEST_BOUND = ATTEMPTS * (CONNECT_TIMEOUT + READ_TIMEOUT) + _LONGEST_BACK_OFF
"""Seconds after which a request has ended, whatever became of it: who takes over from a silent pruner waits
that long, so that no request of the old one is still on its way."""

CONNECTIONS = 16
"""Requests under way at once, at the most."""


def connect(parameters: S3Parameters) -> Any:
    """A client for the bucket of `parameters`; speaks to nobody yet.

    Its requests raise ConfigError where the server says that the bucket is in another region.
    Raises ConfigError when botocore is not there or does not accept the parameters.
    """
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError as error:
        raise ConfigError(
            f"the storage is S3 and its client library is missing ({error}): install botocore beside the "
            "pruner (`pip install botocore`), or mount the stack's archive of it"
        ) from error
    session: Any = Session()
    if data := _unpacked_data():
        session.get_component("data_loader").search_paths.append(data)
    if parameters.access_key:
        session.set_credentials(
            parameters.access_key, parameters.secret_key, parameters.session_token or None
        )
    s3: Any = {"addressing_style": "path" if parameters.path_style else "auto"}
    if parameters.accelerate:
        s3["use_accelerate_endpoint"] = True
    config: Any = Config(
        region_name=parameters.region,
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        use_dualstack_endpoint=parameters.dual_stack or None,
        use_fips_endpoint=parameters.fips or None,
        # Servers other than Amazon's do not all know the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3=s3,
    )
    try:
        client = session.create_client(
            "s3",
            config=config,
            endpoint_url=parameters.endpoint or None,
            use_ssl=parameters.secure,
            verify=_authorities() if parameters.verify else False,
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"the parameters of storage.s3 are not accepted: {error}") from error

    def look_at(**event: Any) -> None:
        if event["response"] is not None:
            http, answer = event["response"]
            refuse_another_region(answer, http.status_code, parameters.bucket, parameters.region)

    client.meta.events.register_first("needs-retry.s3", look_at)
    return client


def _authorities() -> str | None:
    """A file of the machine's own authorities, as a registry takes them; None for what botocore takes.

    Programs in Go read the folders of SSL_CERT_DIR besides, whatever the files in them are called.
    """
    if "AWS_CA_BUNDLE" in os.environ:
        return None
    system = ssl.get_default_verify_paths().cafile
    folders = os.environ.get("SSL_CERT_DIR", "")
    if not folders:
        return system or None
    files = [Path(system)] if system else []
    files += [
        file for folder in folders.split(":") for file in sorted(Path(folder).glob("*")) if file.is_file()
    ]
    texts = dict.fromkeys(file.read_text(errors="replace") for file in files)  # many are links to one another
    handle, path = tempfile.mkstemp(prefix="pruner-authorities-", suffix=".pem")
    atexit.register(Path(path).unlink, missing_ok=True)
    with open(handle, "w") as bundle:
        bundle.writelines(f"{text}\n" for text in texts if "-----BEGIN CERTIFICATE-----" in text)
    return path


def _unpacked_data() -> str:
    """A folder with botocore's data when botocore was imported from an archive, else empty.

    botocore reads its data with plain file calls, which do not see into an archive.
    """
    import botocore

    loader = getattr(botocore, "__loader__", None)
    archive = getattr(loader, "archive", None)
    if not isinstance(archive, str):
        return ""
    folder = tempfile.mkdtemp(prefix="pruner-botocore-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder, [name for name in content.namelist() if name.startswith("botocore/data/")])
    return f"{folder}/botocore/data"
