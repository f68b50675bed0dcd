// What the custom elements share: a shadow root, the theme of the page around, and data that arrives as a property, as a
// `data-*` attribute or as a child `<script type="application/json">`. What does not fit is said in the element's place.

import { unmount } from 'svelte';

/** Either the view stands on the data, or one sentence says why not. */
export type Reading = { readonly ok: true } | { readonly ok: false; readonly problem: string };

export abstract class ViewElement extends HTMLElement {
  /** Holds the component; carries the theme that an attribute outside the shadow root asks for. */
  readonly #frame = document.createElement('div');
  readonly #pageTheme = new MutationObserver(() => this.#followTheme());
  readonly #ownContent = new MutationObserver(() => this.#readInline());
  #view: Record<string, unknown> | undefined;
  #isConnected = false;
  #hasProperty = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(':host { display: block } :host([hidden]) { display: none }');
    root.adoptedStyleSheets = [sheet];
    root.append(this.#frame);
  }

  /** Name of the data attribute, without `data-`. */
  protected abstract readonly dataName: string;
  /** Takes data of unknown origin over into the component's props. */
  protected abstract read(value: unknown): Reading;
  protected abstract show(target: HTMLElement): Record<string, unknown>;
  /** Properties that a page may have set before this class was defined; they are set again, through the accessors. */
  protected abstract readonly properties: readonly string[];

  connectedCallback(): void {
    for (const name of this.properties) {
      if (!Object.hasOwn(this, name)) continue;
      const value: unknown = Reflect.get(this, name);
      Reflect.deleteProperty(this, name);
      Reflect.set(this, name, value);
    }
    this.#isConnected = true;
    this.#pageTheme.observe(document, { subtree: true, attributeFilter: ['data-theme'] });
    this.#ownContent.observe(this, { childList: true, attributes: true, attributeFilter: [`data-${this.dataName}`] });
    this.#followTheme();
    if (this.#hasProperty) this.#render();
    else this.#readInline();
  }

  disconnectedCallback(): void {
    this.#isConnected = false;
    this.#pageTheme.disconnect();
    this.#ownContent.disconnect();
    this.#clear();
  }

  /** For the setter of the data property. */
  protected setData(value: unknown): void {
    this.#hasProperty = true;
    this.#take(value);
  }

  /** Says something to the page; false if a listener prevented what would follow. */
  protected tell(name: string, detail: unknown): boolean {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  #readInline(): void {
    if (this.#hasProperty) return;
    const text =
      this.getAttribute(`data-${this.dataName}`) ??
      this.querySelector(':scope > script[type="application/json"]')?.textContent;
    // The parser may not have reached the child yet; the observer calls again.
    if (text === undefined || text === null) return;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      this.#complain(`This is not JSON: ${error instanceof Error ? error.message : 'it cannot be read'}`);
      return;
    }
    this.#take(value);
  }

  #take(value: unknown): void {
    const reading = this.read(value);
    if (!reading.ok) this.#complain(reading.problem);
    else if (this.#isConnected) this.#render();
  }

  #render(): void {
    // Props are reactive: a view that stands takes new data without being made again.
    if (this.#view) return;
    this.#frame.replaceChildren();
    this.#view = this.show(this.#frame);
  }

  #complain(problem: string): void {
    this.#clear();
    const note = document.createElement('p');
    note.setAttribute('role', 'alert');
    note.textContent = problem;
    this.#frame.replaceChildren(note);
  }

  #clear(): void {
    if (this.#view) void unmount(this.#view);
    this.#view = undefined;
    this.#frame.replaceChildren();
  }

  #followTheme(): void {
    const theme = this.closest('[data-theme]')?.getAttribute('data-theme');
    if (theme === null || theme === undefined) this.#frame.removeAttribute('data-theme');
    else this.#frame.setAttribute('data-theme', theme);
  }
}
