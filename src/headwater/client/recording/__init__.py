"""Recording runs and steps, in the words of who writes pipelines.

``Recording`` gives a store the methods ``run`` and ``resume``. The public names are those listed here;
``docs/recording.md`` is the guide.
"""

from headwater.client.recording.current import current_run, current_step
from headwater.client.recording.decorating import step
from headwater.client.recording.looking import Found
from headwater.client.recording.outputs import File, Output
from headwater.client.recording.recording import Recording
from headwater.client.recording.run import Run
from headwater.client.recording.steps import Step

__all__ = ["File", "Found", "Output", "Recording", "Run", "Step", "current_run", "current_step", "step"]
