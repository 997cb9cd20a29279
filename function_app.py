"""The table of triggers: one per route of shared/endpoints.py (a test compares the two). No logic, no setting.

Names matter: the Functions host tries functions in the alphabetical order of their names, whatever their routes.
"""

import azure.functions as func

# The worker's web extension. Fallback, should a worker refuse ours (docs/adr/0004): replace the line by
#   from azurefunctions.extensions.http.fastapi import Request, Response
# add azurefunctions-extensions-http-fastapi and python-multipart to requirements.txt, and delete zz_not_found.
from shared.adapters.web_extension import Request, Response
from shared.bootstrap import serve

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("v1/chat/completions", methods=["POST"])
async def chat_v1(req: Request) -> Response:
    return await serve("chat_completions", req)


@app.route("chat/completions", methods=["POST"])
async def chat_bare(req: Request) -> Response:
    return await serve("chat_completions", req)


@app.route("openai/v1/chat/completions", methods=["POST"])
async def chat_openai_v1(req: Request) -> Response:
    return await serve("chat_completions", req)


@app.route("openai/deployments/{alias}/chat/completions", methods=["POST"])
async def chat_deployment(req: Request) -> Response:
    return await serve("chat_completions", req)


@app.route("v1/models", methods=["GET"])
async def model_all_v1(req: Request) -> Response:
    return await serve("models_list", req)


@app.route("models", methods=["GET"])
async def model_all_bare(req: Request) -> Response:
    return await serve("models_list", req)


@app.route("openai/v1/models", methods=["GET"])
async def model_all_openai_v1(req: Request) -> Response:
    return await serve("models_list", req)


@app.route("openai/models", methods=["GET"])
async def model_all_openai(req: Request) -> Response:
    return await serve("models_list", req)


@app.route("v1/models/{*alias}", methods=["GET"])
async def model_one_v1(req: Request) -> Response:
    return await serve("models_get", req)


@app.route("models/{*alias}", methods=["GET"])
async def model_one_bare(req: Request) -> Response:
    return await serve("models_get", req)


@app.route("openai/v1/models/{*alias}", methods=["GET"])
async def model_one_openai_v1(req: Request) -> Response:
    return await serve("models_get", req)


@app.route("openai/models/{*alias}", methods=["GET"])
async def model_one_openai(req: Request) -> Response:
    return await serve("models_get", req)


@app.route("health/live", methods=["GET"])
async def health_live(req: Request) -> Response:
    return await serve("health_live", req)


@app.route("health/ready", methods=["GET"])
async def health_ready(req: Request) -> Response:
    return await serve("health_ready", req)


@app.route("{*path}")
async def zz_not_found(req: Request) -> Response:
    return await serve("not_found", req)
