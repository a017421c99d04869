"""A gRPC server and a gRPC client by grpcio, without generated code: messages are bytes.

    grpc_peers.py server [--tls CERT KEY]     prints its port, serves until its input ends
    grpc_peers.py client --to HOST:PORT [--ca FILE] [--host NAME] [--token TOKEN] [--metadata NAME=VALUE]

The client makes one call of each kind and prints what it got as JSON.
"""

import argparse
import concurrent.futures
import json
import queue
import sys

import grpc

DEADLINE = 30


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Service(grpc.GenericRpcHandler):
    """What each method does, and what it says of itself in its trailers."""

    def service(self, details):
        metadata = {key: value for key, value in details.invocation_metadata}

        def unary(request, context):
            context.set_trailing_metadata((("x-app", metadata.get("portcullis-app", "nobody")), ("x-raw-bin", b"\x00\xff")))
            return b"hello " + request

        def stream(request, context):
            for number in range(int(request)):
                yield b"%d" % number
            context.set_trailing_metadata((("x-count", request.decode()),))

        def collect(requests, context):
            return b",".join(requests)

        def chat(requests, context):
            context.send_initial_metadata((("x-early", "yes"),))
            for request in requests:
                yield b"re: " + request

        def fail(request, context):
            context.set_trailing_metadata((("x-why", "because"),))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today, caf\u00e9")

        handlers = {
            "/test.Test/Unary": grpc.unary_unary_rpc_method_handler(unary),
            "/test.Test/Stream": grpc.unary_stream_rpc_method_handler(stream),
            "/test.Test/Collect": grpc.stream_unary_rpc_method_handler(collect),
            "/test.Test/Chat": grpc.stream_stream_rpc_method_handler(chat),
            "/test.Test/Fail": grpc.unary_unary_rpc_method_handler(fail),
        }
        return handlers.get(details.method)


def serve(arguments):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((Service(),))
    if arguments.tls:
        certificate, key = (read(path) for path in arguments.tls)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None)


def open_channel(arguments):
    options = [("grpc.enable_http_proxy", 0)]
    if arguments.host:
        name = "grpc.ssl_target_name_override" if arguments.ca else "grpc.default_authority"
        options.append((name, arguments.host))
    if arguments.ca:
        credentials = grpc.ssl_channel_credentials(read(arguments.ca))
        return grpc.secure_channel(arguments.to, credentials, options)
    return grpc.insecure_channel(arguments.to, options)


def trailers(call):
    # An answer of trailers alone has its head among them, with the date that a gateway adds.
    named = ((key, value) for key, value in call.trailing_metadata() if key != "date")
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in named}


def failed(error):
    return {"code": error.code().name, "details": error.details(), "trailers": trailers(error)}


def call(arguments):
    metadata = [tuple(one.split("=", 1)) for one in arguments.metadata]
    if arguments.token:
        metadata.append(("portcullis-token", arguments.token))
    told = {"metadata": metadata, "timeout": DEADLINE}
    got = {}
    with open_channel(arguments) as channel:
        try:
            answer, unary = channel.unary_unary("/test.Test/Unary").with_call(b"you", **told)
            got["unary"] = {"answer": answer.decode(), "trailers": trailers(unary)}
        except grpc.RpcError as error:
            print(json.dumps({"refused": failed(error)}))
            return
        large = b"x" * 1_000_000
        got["large"] = len(channel.unary_unary("/test.Test/Unary")(large, **told))

        stream = channel.unary_stream("/test.Test/Stream")(b"100", **told)
        got["stream"] = {"sum": sum(int(one) for one in stream), "trailers": trailers(stream)}

        got["collect"] = channel.stream_unary("/test.Test/Collect")(iter([b"a", b"b", b"c"]), **told).decode()

        # Each message goes out only when the one before has come back.
        outgoing = queue.Queue()
        chat = channel.stream_stream("/test.Test/Chat")(iter(outgoing.get, None), **told)
        got["early"] = dict(chat.initial_metadata()).get("x-early")
        got["chat"] = []
        for text in (b"one", b"two", b"three"):
            outgoing.put(text)
            got["chat"].append(next(chat).decode())
        outgoing.put(None)
        got["chat_ends"] = next(chat, "end")

        for name, method in (("fail", "/test.Test/Fail"), ("unknown", "/test.Test/Nothing")):
            try:
                channel.unary_unary(method)(b"", **told)
            except grpc.RpcError as error:
                got[name] = failed(error)
    print(json.dumps(got))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("server")
    server.add_argument("--tls", nargs=2)
    client = commands.add_parser("client")
    client.add_argument("--to", required=True)
    client.add_argument("--ca")
    client.add_argument("--host")
    client.add_argument("--token")
    client.add_argument("--metadata", action="append", default=[])
    arguments = parser.parse_args()
    serve(arguments) if arguments.command == "server" else call(arguments)


if __name__ == "__main__":
    main()
