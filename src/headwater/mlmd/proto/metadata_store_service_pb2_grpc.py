"""The stub of the service, for programs that call it without ``MetadataStore``."""

import grpc

from headwater.client.transport import MESSAGES, SERVICE_NAME


class MetadataStoreServiceStub:
    """One callable for each RPC, by its name: ``stub.GetArtifacts(request, timeout=5)``."""

    def __init__(self, channel: grpc.Channel) -> None:
        # The attributes are the RPCs, 52 lines if written out; protoc's own plugin writes them so.
        vars(self).update(
            {
                name: channel.unary_unary(
                    f"/{SERVICE_NAME}/{name}",
                    request_serializer=request_class.SerializeToString,
                    response_deserializer=response_class.FromString,
                )
                for name, (request_class, response_class) in MESSAGES.items()
            }
        )
