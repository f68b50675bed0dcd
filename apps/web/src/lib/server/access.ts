// Who may talk to the dashboard. It runs models and reads files for whoever asks, so by default only this machine may ask,
// and only a page that this server itself served: a foreign page whose name resolves to 127.0.0.1 (DNS rebinding) still
// sends its own name as Host, and one that posts across origins sends its own Origin.

export interface Caller {
  readonly method: string;
  /** `Host`, `Origin` and `Sec-Fetch-Site` as they came. */
  readonly host: string | null;
  readonly origin: string | null;
  readonly fetchSite: string | null;
  /** Address of the other end, undefined on a Unix socket. */
  readonly address: string | undefined;
}

/** Why a caller is turned away, or null. `exposed`: the user has opened the server to the network. */
export function refusal(caller: Caller, exposed: boolean): string | null {
  const { method, host, origin, fetchSite, address } = caller;
  if (!exposed) {
    if (address !== undefined && !isLoopbackAddress(address)) {
      return 'This dashboard answers only this machine; set CIRCUITSCOPE_EXPOSE=1 to open it to the network.';
    }
    if (host === null || !isLoopbackHost(host)) {
      return 'This dashboard answers only under localhost or 127.0.0.1; set CIRCUITSCOPE_EXPOSE=1 to use another name.';
    }
  }
  // Browsers send an Origin with every request that is not a plain GET of the same page.
  if (origin !== null && !isSameOrigin(origin, host)) {
    return 'Another site asked this dashboard for something, which it does not allow.';
  }
  if (method !== 'GET' && method !== 'HEAD' && fetchSite !== null && fetchSite !== 'same-origin') {
    return 'Another site asked this dashboard to do something, which it does not allow.';
  }
  return null;
}

export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/:\d{1,5}$/, '');
  return name === 'localhost' || name === '[::1]' || isLoopbackV4(name);
}

export function isLoopbackAddress(address: string): boolean {
  return address === '::1' || isLoopbackV4(address.replace(/^::ffff:/i, ''));
}

/** Four plain decimal numbers from 0 to 255, the first of them 127; `127.0.0.1.example.com` is a name. */
function isLoopbackV4(text: string): boolean {
  const parts = text.split('.');
  return (
    parts.length === 4 && parts[0] === '127' && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)
  );
}

/** The scheme is not compared: the server does not know whether a proxy speaks TLS in front of it. */
function isSameOrigin(origin: string, host: string | null): boolean {
  if (host === null || !/^https?:\/\//.test(origin)) return false;
  return origin.replace(/^https?:\/\//, '').toLowerCase() === host.toLowerCase();
}
