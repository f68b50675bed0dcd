declare global {
  namespace App {
    interface Error {
      /** Stable, for programs; absent where SvelteKit itself made the error. */
      code?: string;
    }
  }
}

export {};
