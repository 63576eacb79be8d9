// The models of a server.

import type { Call } from "../call.ts";
import type { Antiphon, CallOptions } from "../client.ts";
import { Pages } from "../pages.ts";
import { pathOf } from "../query.ts";
import type { ModelInfo, ModelsQuery } from "../wire.ts";

/** `client.models`. */
export class Models {
  readonly #client: Antiphon;

  constructor(client: Antiphon) {
    this.#client = client;
  }

  /** Return one model, by its id or an alias. */
  retrieve(id: string, options?: CallOptions): Call<ModelInfo> {
    return this.#client.request({ method: "GET", path: pathOf("models", id) }, options);
  }

  /** List the models. */
  list(query: ModelsQuery = {}, options?: CallOptions): Pages<ModelInfo> {
    return new Pages(query, (page) =>
      this.#client.request({ method: "GET", path: "/v1/models", query: page }, options),
    );
  }
}
