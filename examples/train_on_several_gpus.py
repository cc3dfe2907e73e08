"""
Train on several GPUs
=====================

The same script runs on one GPU, on several, or on the CPU; `accelerate` starts a process for each.

    accelerate launch examples/train_on_several_gpus.py --mixed-precision bf16

Run two processes on the CPU to see that it works:

    torchrun --nproc-per-node 2 examples/train_on_several_gpus.py --cpu

Every process reads the same rows and trains on its share of the mixtures of each step. A step has
as many mixtures as all processes together.
"""

from argparse import ArgumentParser

from accelerate import Accelerator
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from muxlearn import MuxImageClassifier
from muxlearn.parallel import train_with


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--mixed-precision", choices=["no", "bf16"], default="no")
    parser.add_argument("--batch-size", type=int, default=64, help="mixtures in a step, together")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--save", default=None, help="folder for the model")
    args = parser.parse_args()

    accelerator = Accelerator(cpu=args.cpu, mixed_precision=args.mixed_precision)
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    clf = MuxImageClassifier(
        n_mux=2,
        architecture="mlp",
        batch_size=args.batch_size // accelerator.num_processes,
        max_epochs=args.epochs,
        random_state=0,
    )
    with train_with(accelerator):
        clf.fit(X_train, y_train)
    for epoch in clf.history_:
        accelerator.print(f"epoch {epoch['epoch']}: loss {epoch['train_loss']:.6f}")

    # Every process has the fitted model; one is enough to score and save it.
    if accelerator.is_main_process:
        print(f"{accelerator.num_processes} processes, accuracy {clf.score(X_test, y_test):.3f}")
        if args.save:
            clf.save(args.save)
    accelerator.end_training()


if __name__ == "__main__":
    main()
