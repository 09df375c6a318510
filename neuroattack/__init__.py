"""Black-box security evaluation of spiking networks on emulated neuromorphic hardware.

All public names are attributes of this package and are imported on first access.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuroattack.lazy import lazy_attributes

if TYPE_CHECKING:
    from neuroattack import attacks, backends, errors
    from neuroattack.api import (
        attack,
        audit,
        compare,
        convert,
        diagnose,
        evaluate,
        fine_tune,
        from_norse,
        from_snntorch,
        from_spikingjelly,
        import_nir,
        load,
        save,
        train,
    )
    from neuroattack.attacks.bounds import L0, L2, LInf, LocalSD
    from neuroattack.attacks.goals import Goal
    from neuroattack.attacks.result import verify
    from neuroattack.datasets import Dataset, load_dataset
    from neuroattack.deployment.deployment import Deployment, deploy
    from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder, RegularEncoder
    from neuroattack.errors import NeuroattackError
    from neuroattack.hardware import profiles
    from neuroattack.ir.network import FixedPopulation, Input, Network, Population, Projection
    from neuroattack.ir.nir.exporting import export_nir
    from neuroattack.remote.client import RemoteTarget
    from neuroattack.targets import defenses
    from neuroattack.targets.callable import target

__version__ = "0.1.0"

__all__ = [
    "L0",
    "L2",
    "Dataset",
    "Deployment",
    "DirectEncoder",
    "FixedPopulation",
    "Goal",
    "Input",
    "LInf",
    "LocalSD",
    "Network",
    "NeuroattackError",
    "PoissonEncoder",
    "Population",
    "Projection",
    "RegularEncoder",
    "RemoteTarget",
    "__version__",
    "attack",
    "attacks",
    "audit",
    "backends",
    "compare",
    "convert",
    "defenses",
    "deploy",
    "diagnose",
    "errors",
    "evaluate",
    "export_nir",
    "fine_tune",
    "from_norse",
    "from_snntorch",
    "from_spikingjelly",
    "import_nir",
    "load",
    "load_dataset",
    "profiles",
    "save",
    "target",
    "train",
    "verify",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Dataset": "neuroattack.datasets:Dataset",
        "Deployment": "neuroattack.deployment.deployment:Deployment",
        "DirectEncoder": "neuroattack.encoding.encoders:DirectEncoder",
        "FixedPopulation": "neuroattack.ir.network:FixedPopulation",
        "Goal": "neuroattack.attacks.goals:Goal",
        "Input": "neuroattack.ir.network:Input",
        "L0": "neuroattack.attacks.bounds:L0",
        "L2": "neuroattack.attacks.bounds:L2",
        "LInf": "neuroattack.attacks.bounds:LInf",
        "LocalSD": "neuroattack.attacks.bounds:LocalSD",
        "Network": "neuroattack.ir.network:Network",
        "NeuroattackError": "neuroattack.errors:NeuroattackError",
        "PoissonEncoder": "neuroattack.encoding.encoders:PoissonEncoder",
        "Population": "neuroattack.ir.network:Population",
        "Projection": "neuroattack.ir.network:Projection",
        "RegularEncoder": "neuroattack.encoding.encoders:RegularEncoder",
        "RemoteTarget": "neuroattack.remote.client:RemoteTarget",
        "attack": "neuroattack.api:attack",
        "attacks": "neuroattack.attacks",
        "audit": "neuroattack.api:audit",
        "backends": "neuroattack.backends",
        "compare": "neuroattack.api:compare",
        "convert": "neuroattack.api:convert",
        "defenses": "neuroattack.targets.defenses",
        "deploy": "neuroattack.deployment.deployment:deploy",
        "diagnose": "neuroattack.api:diagnose",
        "errors": "neuroattack.errors",
        "evaluate": "neuroattack.api:evaluate",
        "export_nir": "neuroattack.ir.nir.exporting:export_nir",
        "fine_tune": "neuroattack.api:fine_tune",
        "from_norse": "neuroattack.api:from_norse",
        "from_snntorch": "neuroattack.api:from_snntorch",
        "from_spikingjelly": "neuroattack.api:from_spikingjelly",
        "import_nir": "neuroattack.api:import_nir",
        "load": "neuroattack.api:load",
        "load_dataset": "neuroattack.datasets:load_dataset",
        "profiles": "neuroattack.hardware.profiles",
        "save": "neuroattack.api:save",
        "target": "neuroattack.targets.callable:target",
        "train": "neuroattack.api:train",
        "verify": "neuroattack.attacks.result:verify",
    },
)
