"""The stub of the service, for programs that call it without ``MetadataStore``."""

import grpc

from headwater.wire import SERVICES, STORE_SERVICE


class MetadataStoreServiceStub:
    """One callable for each RPC, by its name: ``stub.GetArtifacts(request, timeout=5)``."""

    def __init__(self, channel: grpc.Channel) -> None:
        # The attributes are the RPCs, 52 lines if written out; protoc's own plugin writes them so.
        vars(self).update(
            {
                name: channel.unary_unary(
                    method.path,
                    request_serializer=method.request_class.SerializeToString,
                    response_deserializer=method.response_class.FromString,
                )
                for name, method in SERVICES[STORE_SERVICE].items()
            }
        )
