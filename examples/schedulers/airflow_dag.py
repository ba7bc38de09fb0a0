"""An audit every night by Airflow, on Dataflow; with ``runner="DirectRunner"`` and no options of Google, on the worker itself.

The operator starts ``python -m causalprint.pipelines.beam_main`` in an environment that has causalprint. An audit that finds
something missing (exit code 3) or whose condition holds (4) fails its task; the next try computes only what is missing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.apache.beam.operators.beam import BeamRunPythonPipelineOperator
from airflow.sdk import DAG

with DAG(
    dag_id="causalprint_audit",
    schedule="15 2 * * *",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow's own time zone
    catchup=False,
    max_active_runs=1,
):
    BeamRunPythonPipelineOperator(
        task_id="audit",
        py_interpreter="/opt/causalprint/bin/python",
        py_options=["-m"],
        py_file="causalprint.pipelines.beam_main",
        runner="DataflowRunner",
        pipeline_options={
            "input": ["gs://crawl/2026/*.tar"],
            "output": "gs://audits/crawl",
            "fail_if": ["generated > 5 %"],
            "log_format": "json",
            "temp_location": "gs://audits/tmp",
            "sdk_container_image": "europe-docker.pkg.dev/PROJECT/audits/causalprint:0.1.0",
        },
        dataflow_config={"job_name": "causalprint-audit", "project_id": "PROJECT", "location": "europe-west4"},
        retries=3,
        retry_delay=timedelta(minutes=10),
    )
