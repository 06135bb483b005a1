"""Steps that read: by key, along edges, page by page, as a subgraph, and everything."""

from google.protobuf.message import Message

from headwater.v1 import metadata_store_pb2 as pb
from headwater.v1 import metadata_store_service_pb2 as rpcs

from . import filter_texts
from .drawing import CONTEXT_NAMES, NAMES, URIS, Drawing
from .model import KINDS, UNKNOWN_ID, Model
from .steps import Batch, Call, Dump, Listing, Step

SUBGRAPH_PARTS = (
    "artifacts", "executions", "contexts", "events", "attributions", "associations", "artifact_types", "execution_types",
    "context_types", "parent_contexts", "artifacts.id", "nosuch",
)  # fmt: skip


class Reads:
    def __init__(self, draw: Drawing) -> None:
        self._draw = draw

    def get_type(self) -> Step:
        kind = self._draw.kind()
        name, version = self._draw.some_type(kind)
        request = getattr(rpcs, f"Get{kind.title()}TypeRequest")(type_name=name)
        if version or self._draw.luck(0.3):
            request.type_version = version
        self._draw.tag(request)
        return Call(f"Get{kind.title()}Type", request)

    def types_by_id(self) -> Step:
        kind = self._draw.kind()
        pool = [type_id for stored in self._draw.model.types.values() for type_id in stored] + [
            0,
            -1,
            UNKNOWN_ID,
        ]
        own = list(self._draw.model.types[kind]) or pool
        ids = [
            self._draw.one(own if self._draw.luck(0.7) else pool)
            for _ in range(self._draw.one((0, 1, 2, 3, 5)))
        ]
        name = f"Get{kind.title()}TypesByID"
        return Call(name, getattr(rpcs, f"{name}Request")(type_ids=ids))

    def types_by_external_ids(self) -> Step:
        name = f"Get{self._draw.kind().title()}TypesByExternalIds"
        return Call(name, getattr(rpcs, f"{name}Request")(external_ids=self._draw.external_ids()))

    def all_types(self) -> Step:
        name = f"Get{self._draw.kind().title()}Types"
        return Call(name, getattr(rpcs, f"{name}Request")())

    def nodes_by_id(self) -> Step:
        kind = self._draw.kind()
        request = getattr(rpcs, f"Get{kind.title()}sByIDRequest")(
            **{f"{kind}_ids": self._draw.node_ids(kind)}
        )
        if kind == "artifact" and self._draw.luck(0.5):
            request.populate_artifact_types = True
        self._draw.tag(request)
        return Call(f"Get{kind.title()}sByID", request)

    def node_by_name(self) -> Step:
        kind = self._draw.kind()
        name, version = self._draw.some_type(kind)
        request = getattr(rpcs, f"Get{kind.title()}ByTypeAndNameRequest")(type_name=name)
        if version or self._draw.luck(0.2):
            request.type_version = version
        named = [
            node.name
            for node in self._draw.model.nodes[kind].values()
            if (found := self._draw.model.types[kind].get(node.type_id))
            and (found.name, found.version) == (name, version)
        ]
        if self._draw.luck(0.95):
            setattr(
                request,
                f"{kind}_name",
                self._draw.one(named)
                if named and self._draw.luck(0.8)
                else self._draw.one((*NAMES, *CONTEXT_NAMES, "")),
            )
        return Call(f"Get{kind.title()}ByTypeAndName", request)

    def artifacts_by_uri(self) -> Step:
        uris = [self._draw.one((*URIS, "nosuch")) for _ in range(self._draw.one((0, 1, 1, 2, 3)))]
        request = rpcs.GetArtifactsByURIRequest(uris=uris)
        if self._draw.luck(0.06):
            # Field 1 is reserved: the server must refuse who still sends it.
            request.MergeFromString(b"\x0a\x01u")
        return Call("GetArtifactsByURI", request)

    def nodes_by_external_ids(self) -> Step:
        name = f"Get{self._draw.kind().title()}sByExternalIds"
        return Call(name, getattr(rpcs, f"{name}Request")(external_ids=self._draw.external_ids()))

    def unpaged(self) -> Step:
        name = self._draw.one([f"Get{kind.title()}s" for kind in KINDS])
        return Call(name, getattr(rpcs, f"{name}Request")())

    def contexts_by_node(self) -> Step:
        kind = self._draw.one(("artifact", "execution"))
        linked = [node for node, _ in self._draw.model.links[kind]]
        node_id = (
            self._draw.one(linked)
            if linked and self._draw.luck(0.7)
            else self._draw.node_id(kind, unknown=0.2)
        )
        request = getattr(rpcs, f"GetContextsBy{kind.title()}Request")(**{f"{kind}_id": node_id})
        return Call(f"GetContextsBy{kind.title()}", request)

    def kin(self) -> Step:
        name = self._draw.one(("GetParentContextsByContext", "GetChildrenContextsByContext"))
        ids = [context for pair in self._draw.model.parents for context in pair]
        context_id = (
            self._draw.one(ids)
            if ids and self._draw.luck(0.7)
            else self._draw.node_id("context", unknown=0.2)
        )
        return Call(name, getattr(rpcs, f"{name}Request")(context_id=context_id))

    def kin_of_many(self) -> Step:
        name = self._draw.one(("GetParentContextsByContexts", "GetChildrenContextsByContexts"))
        return Batch(name, getattr(rpcs, f"{name}Request")(context_ids=self._draw.node_ids("context")))

    def events(self) -> Step:
        kind = self._draw.one(("artifact", "execution"))
        request = getattr(rpcs, f"GetEventsBy{kind.title()}IDsRequest")(
            **{f"{kind}_ids": self._draw.node_ids(kind)}
        )
        return Call(f"GetEventsBy{kind.title()}IDs", request)

    def listing(self) -> Step:
        kind = self._draw.kind()
        title = f"{kind.title()}s"
        names = [f"Get{title}", f"Get{title}", f"Get{title}ByType"]
        if kind != "context":
            names.append(f"Get{title}ByContext")
        name = self._draw.one(names)
        request = getattr(rpcs, f"{name}Request")()
        if name.endswith("ByType"):
            request.type_name, version = self._draw.some_type(kind)
            if version or self._draw.luck(0.2):
                request.type_version = version
        if name.endswith("ByContext"):
            linked = [context for _, context in self._draw.model.links[kind]]
            request.context_id = (
                self._draw.one(linked)
                if linked and self._draw.luck(0.8)
                else self._draw.node_id("context", unknown=0.2)
            )
        if self._draw.luck(0.04) and name != f"Get{title}":
            return Call(name, request)
        self._list_options(request.options, kind)
        self._draw.tag(request)
        step = Listing(name, request)
        luck = self._draw.random.random()
        if request.options.filter_query and luck < 0.1:
            quirk = self._draw.one([quirk for quirk in filter_texts.QUIRKS if kind in quirk.kinds])
            request.options.filter_query, step.for_engine = quirk.text, quirk.instead
        elif luck < 0.25:
            step.foreign_tokens = (
                request.options.order_by_field.field != pb.ListOperationOptions.OrderByField.LAST_UPDATE_TIME
            )
        elif luck < 0.32:
            step.later = self._later_options(request.options, kind)
        return step

    def _list_options(self, options: pb.ListOperationOptions, kind: str) -> None:
        options.SetInParent()
        if self._draw.luck(0.75):
            options.max_result_size = self._draw.one((1, 2, 2, 3, 3, 5, 7, 20, 100))
        if self._draw.luck(0.6):
            options.order_by_field.SetInParent()
            if self._draw.luck(0.9):
                options.order_by_field.field = self._draw.one((1, 1, 2, 2, 3))
            if self._draw.luck(0.7):
                options.order_by_field.is_asc = self._draw.luck(0.4)
        if self._draw.luck(0.6):
            options.filter_query = filter_texts.draw(self._draw.random, kind, step_number=self._draw.number)
        if self._draw.luck(0.06):
            match self._draw.random.randrange(4):
                case 0:
                    options.max_result_size = self._draw.one((0, -1, 2**31 - 1))
                case 1:
                    options.order_by_field.field = 0
                case 2:
                    options.next_page_token = self._draw.one(
                        ("!!", "abc", "CAIQAhoCCAI", "====", "AAAA", "é", "CAIQAhoCCAI=")
                    )
                case 3:
                    options.next_page_token = ""

    def _later_options(self, options: pb.ListOperationOptions, kind: str) -> pb.ListOperationOptions:
        later = pb.ListOperationOptions()
        match self._draw.random.randrange(5):
            case 0:
                later.order_by_field.is_asc = not options.order_by_field.is_asc
            case 1:
                later.order_by_field.field = 1 + options.order_by_field.field % 3
            case 2:
                later.max_result_size = self._draw.one((1, 2, 10, 0))
            case 3:
                later.max_result_size = options.max_result_size
            case 4:
                later.filter_query = "id > 0"
        return later

    def lineage_subgraph(self) -> Step:
        request = rpcs.GetLineageSubgraphRequest()
        query = request.lineage_subgraph_query_options
        kind = self._draw.one(("artifact", "execution"))
        starting = getattr(query, f"starting_{kind}s")
        met = [pair[("artifact", "execution").index(kind)] for pair in self._draw.model.events]
        if met and self._draw.luck(0.5):
            starting.filter_query = f"id = {self._draw.one(met)}"
        elif self._draw.luck(0.3):
            starting.filter_query = f"id = {self._draw.node_id(kind, unknown=0.05)}"
        elif self._draw.luck(0.4):
            starting.filter_query = f"id IN ({self._draw.node_id(kind)}, {self._draw.node_id(kind)})"
        else:
            starting.filter_query = filter_texts.draw(self._draw.random, kind, step_number=self._draw.number)
        if self._draw.luck(0.6):
            query.max_num_hops = self._draw.one((0, 1, 1, 2, 2, 3, 4, 6, 20, 1000))
        if self._draw.luck(0.8):
            query.direction = self._draw.one((1, 1, 2, 2, 3, 3, 0))
        for other in ("artifact", "execution"):
            if self._draw.luck(0.25):
                ending = getattr(query, f"ending_{other}s")
                ending.SetInParent()
                if self._draw.luck(0.5):
                    ending.filter_query = (
                        f"id IN ({', '.join(str(self._draw.node_id(other)) for _ in range(3))})"
                    )
                elif self._draw.luck(0.85):
                    ending.filter_query = filter_texts.draw(
                        self._draw.random, other, step_number=self._draw.number
                    )
                elif self._draw.luck(0.5):
                    ending.filter_query = ""
                if self._draw.luck(0.6):
                    ending.include_ending_nodes = self._draw.luck(0.7)
        if self._draw.luck(0.4):
            request.read_mask.paths.extend(
                self._draw.random.sample(SUBGRAPH_PARTS, k=self._draw.one((0, 1, 2, 4, 7)))
            )
        if self._draw.luck(0.06):
            match self._draw.random.randrange(4):
                case 0:
                    query.ClearField("starting_nodes")
                case 1:
                    query.max_num_hops = -1
                case 2:
                    starting.filter_query = ""
                case 3:
                    request.ClearField("lineage_subgraph_query_options")
        self._draw.tag(request)
        return Call("GetLineageSubgraph", request)

    def lineage_graph(self) -> Step:
        return Call("GetLineageGraph", rpcs.GetLineageGraphRequest())

    def empty_request(self) -> Step:
        name = self._draw.one(
            [method.name for method in rpcs.DESCRIPTOR.services_by_name["MetadataStoreService"].methods]
        )
        if name.endswith("ContextsByContexts"):
            return Batch(name, getattr(rpcs, f"{name}Request")())
        return Call(name, getattr(rpcs, f"{name}Request")())

    def dump_node(self) -> Step:
        kind = self._draw.kind()
        node_id = self._draw.node_id(kind)
        reads: list[tuple[str, Message]] = [
            (
                f"Get{kind.title()}sByID",
                getattr(rpcs, f"Get{kind.title()}sByIDRequest")(**{f"{kind}_ids": [node_id]}),
            )
        ]
        if kind == "context":
            reads += _around_context(node_id)
        else:
            reads += [
                (name, getattr(rpcs, f"{name}Request")(**{field: value}))
                for name, field, value in (
                    (f"GetContextsBy{kind.title()}", f"{kind}_id", node_id),
                    (f"GetEventsBy{kind.title()}IDs", f"{kind}_ids", [node_id]),
                )
            ]
        return Dump(reads)

    def filtered(self) -> Step:
        kind = self._draw.kind()
        request = getattr(rpcs, f"Get{kind.title()}sRequest")()
        request.options.max_result_size = 100
        request.options.filter_query = filter_texts.draw(
            self._draw.random, kind, step_number=self._draw.number
        )
        return Listing(f"Get{kind.title()}s", request)

    def everything(self) -> Step:
        """Reads that between them show the whole store."""
        return Dump(_whole_store(self._draw.model))


def _around_context(context_id: int) -> list[tuple[str, Message]]:
    names = (
        "GetArtifactsByContext",
        "GetExecutionsByContext",
        "GetParentContextsByContext",
        "GetChildrenContextsByContext",
    )
    return [(name, getattr(rpcs, f"{name}Request")(context_id=context_id)) for name in names]


def _whole_store(model: Model) -> list[tuple[str, Message]]:
    names = [f"Get{kind.title()}{what}" for kind in KINDS for what in ("Types", "s")]
    reads: list[tuple[str, Message]] = [(name, getattr(rpcs, f"{name}Request")()) for name in names]
    for kind in KINDS:
        ids = sorted(type_id for stored in model.types.values() for type_id in stored)
        reads.append(
            (f"Get{kind.title()}TypesByID", getattr(rpcs, f"Get{kind.title()}TypesByIDRequest")(type_ids=ids))
        )
    artifact_ids, execution_ids = sorted(model.nodes["artifact"]), sorted(model.nodes["execution"])
    reads.append(("GetEventsByArtifactIDs", rpcs.GetEventsByArtifactIDsRequest(artifact_ids=artifact_ids)))
    reads.append(
        ("GetEventsByExecutionIDs", rpcs.GetEventsByExecutionIDsRequest(execution_ids=execution_ids))
    )
    for context_id in sorted(model.nodes["context"]):
        reads += _around_context(context_id)
    return reads
