"""What must work on every protobuf: load, serve, write, read back. Run by ``run.py`` in each environment."""

import sys

import google.protobuf
import grpc

import headwater
from headwater.client import Store
from headwater.config import ServerConfig
from headwater.server import Server
from headwater.service.descriptors import descriptors_as_served
from headwater.v1 import metadata_store_pb2 as pb


def double(number: int) -> int:
    return 2 * number


def record(store: Store) -> None:
    """Record a step, find it done, and walk from it."""
    for state in ("COMPLETE", "CACHED"):
        with store.run("smoke", strict=True) as run:
            assert run.call(double, 21) == 42
        (step,) = store.steps(run)
        assert step.state == state, step
    assert [page for page in store.walk(("execution", step.execution_id)) if page.nodes]


def main() -> None:
    assert google.protobuf.__version__.startswith(sys.argv[1]), google.protobuf.__version__
    assert descriptors_as_served().FindServiceByName("ml_metadata.MetadataStoreService").methods
    server = Server(ServerConfig("sqlite://", port=0), private=True)
    server.start()
    for target in (f"127.0.0.1:{server.port}", "sqlite://"):
        with headwater.connect(target) as store:
            type_id = store.put_artifact_type(pb.ArtifactType(name="Model", properties={"loss": pb.DOUBLE}))
            model = pb.Artifact(type_id=type_id, name="m", uri="s3://models/m")
            model.properties["loss"].double_value = 0.1234567890123
            model.custom_properties["layers"].struct_value.update({"sizes": [64, 10]})
            (model_id,) = store.put_artifacts([model])
            found = store.get_artifact(model_id)
            assert found.properties["loss"].double_value == 0.1234567890123
            assert found.custom_properties["layers"].struct_value["sizes"][1] == 10
            listed = list(store.list_artifacts(filter="properties.loss.double_value < 0.2"))
            assert [artifact.id for artifact in listed] == [model_id]
            record(store)
    server.stop()
    print(f"protobuf {google.protobuf.__version__}, grpcio {grpc.__version__}: works")


if __name__ == "__main__":
    main()
