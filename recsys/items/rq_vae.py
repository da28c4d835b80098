"""RQ-VAE: residual quantization inside an autoencoder."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, mse_loss
from typing_extensions import override

from recsys.errors import NonFiniteError
from recsys.items.quantizer import Quantizer
from recsys.items.residual_quantizer import ResidualKMeans, check_vectors, squared_distances
from recsys.ranges import above, at_least


class RqVae(nn.Module, Quantizer):
    """An autoencoder whose latent vector is the sum of one codeword of each level.

        z = encoder(x),   ẑ = Σ_l cˡ_sˡ with sˡ = argmin_k ‖rˡ − cˡ_k‖²,   x̂ = decoder(ẑ)
        loss = ‖x − x̂‖² + Σ_l ( ‖sg(rˡ) − cˡ_sˡ‖² + commitment · ‖rˡ − sg(cˡ_sˡ)‖² )

    Squared norms are means over the entries of a vector. `sg` stops the gradient; the gradient of `ẑ` is passed to `z`
    unchanged (straight-through). The first codewords are the residual k-means of the encoder's output before training.
    After each epoch, codewords that no vector used move to residuals of random vectors of one batch.

    Args:
        dimensions: width `D` of the item vectors.
        levels: number of levels `L`.
        codes: number of codes `K` of each level.
        hidden: width of the hidden layer of encoder and decoder; each has one.
        latent: width of the codewords.
        commitment: weight of the commitment term; TIGER uses 0.25.
        epochs: passes over the vectors; 0 keeps the first codewords.
        batch_size: vectors a step.
        learning_rate: learning rate of Adam.

    Source: TIGER (arXiv 2305.05065), section 3.1; Zeghidour et al. 2021 (residual form, k-means start, replacement).
    """

    codebooks: Float[Tensor, "L K latent"]

    def __init__(
        self,
        dimensions: int = 64,
        levels: int = 3,
        codes: int = 256,
        hidden: int = 128,
        latent: int = 32,
        commitment: float = 0.25,
        epochs: int = 100,
        batch_size: int = 1024,
        learning_rate: float = 1e-3,
    ) -> None:
        at_least(1, dimensions=dimensions, levels=levels, codes=codes, hidden=hidden, latent=latent)
        at_least(1, batch_size=batch_size)
        at_least(0, epochs=epochs, commitment=commitment)
        above(0, learning_rate=learning_rate)
        super().__init__()
        self.levels = levels
        self.codes_per_level = (codes,) * levels
        self.commitment = commitment
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.encoder = nn.Sequential(nn.Linear(dimensions, hidden), nn.SiLU(), nn.Linear(hidden, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, dimensions))
        self.codebooks = nn.Parameter(torch.zeros(levels, codes, latent))

    @override
    def fit(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> RqVae:
        codes = self.codes_per_level[0]
        check_vectors(x, codes)
        x = x.detach().float()
        self._start(x, generator)
        optimizer = torch.optim.Adam(self.parameters(), lr=self.learning_rate)
        for _ in range(self.epochs):
            used = torch.zeros(self.levels, codes, dtype=torch.bool, device=x.device)
            batches = torch.randperm(x.shape[0], generator=generator).split(self.batch_size)
            for rows in batches:
                batch = x[rows]
                loss, assigned = self._loss(batch)
                optimizer.zero_grad()
                if not loss.isfinite():
                    raise NonFiniteError(
                        f"RQ-VAE: the loss is {float(loss)}; a smaller learning_rate (items.quantizer.learning_rate), "
                        "or item vectors of a smaller scale, often help"
                    )
                loss.backward()
                optimizer.step()
                used.scatter_(1, assigned.T, True)
            self._replace(~used, x[batches[0]], generator)
        return self

    @override
    def fit_encode(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> Int[Tensor, "N L"]:
        return self.fit(x, generator).encode(x)

    @override
    @torch.no_grad()
    def encode(self, x: Float[Tensor, "N D"]) -> Int[Tensor, "N L"]:
        return self._quantize(self.encoder(x.float()))[1]

    @override
    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "N l"]) -> Float[Tensor, "N D"]:
        return self.decoder(self.codebooks[torch.arange(codes.shape[-1], device=codes.device), codes].sum(-2))

    def _quantize(self, latent: Float[Tensor, "N latent"]) -> tuple[Float[Tensor, "N L latent"], Int[Tensor, "N L"]]:
        """Return the nearest codewords, level by level, and their codes."""
        residual, chosen, codes = latent, [], []
        for codebook in self.codebooks:
            code = squared_distances(residual.detach(), codebook.detach()).argmin(-1)
            chosen.append(embedding(code, codebook))
            codes.append(code)
            residual = residual - chosen[-1].detach()
        return torch.stack(chosen, 1), torch.stack(codes, -1)

    def _loss(self, x: Float[Tensor, "n D"]) -> tuple[Float[Tensor, ""], Int[Tensor, "n L"]]:
        latent = self.encoder(x)
        chosen, codes = self._quantize(latent)
        behind = chosen.detach().cumsum(1) - chosen.detach()
        residual = latent.unsqueeze(1) - behind
        straight = latent + (chosen.sum(1) - latent).detach()
        codebook_loss = mse_loss(chosen, residual.detach()) * self.levels
        commitment_loss = mse_loss(residual, chosen.detach()) * self.levels
        return mse_loss(self.decoder(straight), x) + codebook_loss + self.commitment * commitment_loss, codes

    @torch.no_grad()
    def _start(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> None:
        """Initialise the weights, then set the codewords to the residual k-means of the latent vectors."""
        for layer in [*self.encoder, *self.decoder]:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
                nn.init.zeros_(layer.bias)
        start = ResidualKMeans(self.levels, self.codes_per_level[0]).fit(self.encoder(x), generator)
        self.codebooks.copy_(start.codebooks)

    @torch.no_grad()
    def _replace(self, unused: Tensor, x: Float[Tensor, "n D"], generator: torch.Generator) -> None:
        """Move every unused codeword to the residual, at its level, of a random vector."""
        latent = self.encoder(x)
        chosen, _ = self._quantize(latent)
        residual = latent.unsqueeze(1) - (chosen.cumsum(1) - chosen)
        drawn = torch.randint(x.shape[0], unused.shape, generator=generator).to(x.device)
        levels = torch.arange(self.levels, device=x.device).unsqueeze(-1)
        self.codebooks.copy_(torch.where(unused.unsqueeze(-1), residual[drawn, levels], self.codebooks))
