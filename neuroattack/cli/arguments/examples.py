"""Examples of all commands, shown at the end of their help."""

from __future__ import annotations

__all__ = ["EXAMPLES", "example"]

EXAMPLES = {
    "demo": "demo --dataset mnist --out runs/mnist-demo",
    "train": "train --dataset digits --out runs/model.h5",
    "events": "events N-MNIST --out runs/nmnist.npz --downsample 2 --limit 1000",
    "convert": "convert runs/model.h5 --out runs/network.h5",
    "fine-tune": "fine-tune runs/network.h5 --dataset digits --steps 100",
    "evaluate": "evaluate runs/network.h5 --profile loihi1 --images 100",
    "preflight": "preflight runs/network.h5 --index 3",
    "attack": "attack runs/network.h5 --index 0:20 --out runs/attack",
    "transfer": (
        "transfer runs/network.h5 --deployment native \\\n      --deployment native,profile=loihi1"
    ),
    "show": "show event-digits --index 3 --out runs/show",
    "compare": "compare runs/network.h5 --images 20 --steps 100",
    "audit": "audit runs/network.h5 --against runs/audit-old/audit.json",
    "energy": "energy runs/network.h5 --profiles loihi1,spinnaker1 --images 100",
    "precision": "precision runs/network.h5 --out runs/precision",
    "latency": "latency runs/network.h5 --margins 1,2,5,10 --out runs/latency",
    "faults": "faults runs/network.h5 --profiles loihi1,float32 --maps 5",
    "bit-flips": "bit-flips runs/network.h5 --profile loihi1 --flips 20",
    "noise": "noise --dataset mnist --deltas 0.05,0.1 --on train,test",
    "paper": "paper table2 table3 --out runs/paper",
    "serve": "serve runs/network.h5 --profile loihi1 --port 8000",
    "backends": "backends --json",
    "doctor": "doctor",
    "import": "import net.nir --from snntorch --encoder direct",
    "export": "export runs/network.h5 network.py --format pynn",
    "campaign": "campaign campaign.toml --workers 2",
    "campaign run": "campaign run campaign.toml --out runs/campaign",
    "campaign resume": "campaign resume runs/campaign",
    "campaign status": "campaign status runs/campaign --json",
    "campaign export": "campaign export runs/campaign --csv rows.csv --curves curves.png",
    "profiles": "profiles show loihi1",
    "profiles list": "profiles list --json",
    "profiles show": "profiles show loihi1",
    "profiles check": "profiles check mychip.toml",
}
"""Arguments of ``neuroattack``, by the name of the command."""


def example(command: str) -> str:
    """Return the example of a command as the epilog of its help."""
    # The backspace keeps click from joining the lines to a paragraph.
    return f"\b\nExample:\n  neuroattack {EXAMPLES[command]}"
