// What the operations of an organization have in common.

import type { Call } from "../call.ts";
import type { Antiphon, CallOptions } from "../client.ts";
import { Pages } from "../pages.ts";
import { pathOf } from "../query.ts";

/** Makes the calls below `/v1/organizations`, which are sent with the admin key. */
export class AdminCalls {
  readonly #client: Antiphon;

  constructor(client: Antiphon) {
    this.#client = client;
  }

  get<T>(steps: string[], options?: CallOptions, query?: object): Call<T> {
    const path = pathOf("organizations", ...steps);
    return this.#client.request({ method: "GET", path, query, isAdmin: true }, options);
  }

  list<Item>(steps: string[], query: object = {}, options?: CallOptions): Pages<Item> {
    return new Pages(query, (page) => this.get(steps, options, page));
  }

  post<T>(steps: string[], body: object, options?: CallOptions): Call<T> {
    const path = pathOf("organizations", ...steps);
    return this.#client.request({ method: "POST", path, body, isAdmin: true }, options);
  }

  delete<T>(steps: string[], options?: CallOptions): Call<T> {
    const path = pathOf("organizations", ...steps);
    return this.#client.request({ method: "DELETE", path, isAdmin: true }, options);
  }
}
