"""RQ-VAE: residual quantization inside an autoencoder."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, mse_loss

from recsys.items.residual_quantizer import ResidualKMeans, check_vectors, squared_distances


class RqVae(nn.Module):
    """An autoencoder whose latent vector is the sum of one codeword a level.

        z = encoder(x),   ẑ = Σ_l cˡ_sˡ with sˡ = argmin_k ‖rˡ − cˡ_k‖²,   x̂ = decoder(ẑ)
        loss = ‖x − x̂‖² + Σ_l ( ‖sg(rˡ) − cˡ_sˡ‖² + commitment · ‖rˡ − sg(cˡ_sˡ)‖² )

    Squares are means over the vector's entries; `sg` stops the gradient, which passes from `ẑ` straight to `z`.
    Codewords start as the residual k-means of the encoder's first output, and one that a whole epoch left unused moves
    to a residual of the last batch.

    Args:
        dimensions: `D`, width of the item vectors.
        levels: `L`.
        codes: `K` codes a level.
        hidden: width of the one hidden layer of encoder and decoder.
        latent: width of the codewords.
        commitment: weight of the commitment term; TIGER's value is 0.25.
        epochs: passes over the vectors.
        batch_size: vectors a step.
        learning_rate: of Adam.

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

    def fit(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> RqVae:
        """Train on `N` vectors.

        Raises:
            DataError: there are fewer vectors than codes a level, or a vector is not finite.
        """
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
                loss.backward()
                optimizer.step()
                used.scatter_(1, assigned.T, True)
            self._replace(~used, x[batches[0]], generator)
        return self

    def fit_encode(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> Int[Tensor, "N L"]:
        """Train, then encode the same vectors."""
        return self.fit(x, generator).encode(x)

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "N D"]) -> Int[Tensor, "N L"]:
        """The codes of any vectors, fitted or new."""
        return self._quantize(self.encoder(x.float()))[1]

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "N l"]) -> Float[Tensor, "N D"]:
        """The decoded sum of the codewords of the levels given."""
        return self.decoder(self.codebooks[torch.arange(codes.shape[-1], device=codes.device), codes].sum(-2))

    def _quantize(self, latent: Float[Tensor, "N latent"]) -> tuple[Float[Tensor, "N L latent"], Int[Tensor, "N L"]]:
        """The codewords chosen level by level, and their codes."""
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
        """Draw fresh weights, then take residual k-means of the first latents as codewords."""
        for layer in [*self.encoder, *self.decoder]:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
                nn.init.zeros_(layer.bias)
        start = ResidualKMeans(self.levels, self.codes_per_level[0]).fit(self.encoder(x), generator)
        self.codebooks.copy_(start.codebooks)

    @torch.no_grad()
    def _replace(self, unused: Tensor, x: Float[Tensor, "n D"], generator: torch.Generator) -> None:
        """Move every unused codeword to the residual, at its level, of a vector drawn at random."""
        latent = self.encoder(x)
        chosen, _ = self._quantize(latent)
        residual = latent.unsqueeze(1) - (chosen.cumsum(1) - chosen)
        drawn = torch.randint(x.shape[0], unused.shape, generator=generator).to(x.device)
        levels = torch.arange(self.levels, device=x.device).unsqueeze(-1)
        self.codebooks.copy_(torch.where(unused.unsqueeze(-1), residual[drawn, levels], self.codebooks))
