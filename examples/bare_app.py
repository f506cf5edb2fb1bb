"""Invoke an action in your own FastAPI app, without a ThingServer: `attach_to_app`.

Run `uvicorn bare_app:app`, then `curl -X POST http://127.0.0.1:8000/bake -d '{"minutes": 1}' …`.
"""

from fastapi import FastAPI, Request

import labthings_fastapi as lt
from labthings_fastapi.actions import ActionManager

app = FastAPI()
manager = ActionManager()
manager.attach_to_app(app)


class Oven(lt.Thing):
    """An oven for slides."""

    @lt.action
    def bake(self, minutes: float = 1.0) -> str:
        """Bake, and report the progress."""
        for _ in lt.track(range(100), message="baking"):
            lt.cancellable_sleep(minutes * 60 / 100)
        self.logger.info("Done after %s minutes.", minutes)
        return "golden brown"


oven = Oven()


@app.post("/bake", status_code=201)
def bake(request: Request, body: Oven.bake.input_model) -> Oven.bake.invocation_model:
    """Start baking; poll the `href` in the response."""
    return manager.invoke_action(Oven.bake, oven, input=body).response(request)
