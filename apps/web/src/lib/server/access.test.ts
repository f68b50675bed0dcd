import { describe, expect, it } from 'vitest';
import { type Caller, isLoopbackAddress, isLoopbackHost, refusal } from './access.ts';

const own: Caller = {
  method: 'POST',
  host: '127.0.0.1:3000',
  origin: 'http://127.0.0.1:3000',
  fetchSite: 'same-origin',
  address: '127.0.0.1',
};

describe('refusal', () => {
  it('lets the own page read and write', () => {
    expect(refusal(own, false)).toBeNull();
    expect(refusal({ ...own, method: 'GET', origin: null, fetchSite: 'none' }, false)).toBeNull();
  });

  it('lets a program without a browser in', () => {
    expect(refusal({ ...own, origin: null, fetchSite: null }, false)).toBeNull();
  });

  it('turns away a foreign name that resolves to this machine', () => {
    expect(refusal({ ...own, host: 'evil.example:3000', origin: 'http://evil.example:3000' }, false)).toContain(
      'localhost',
    );
  });

  it('turns away a page of another origin, another port and no origin at all', () => {
    for (const origin of ['http://evil.example', 'http://127.0.0.1:8080', 'null', 'file://']) {
      expect(refusal({ ...own, origin }, false)).toContain('Another site');
    }
  });

  it('turns away a cross-site post that hides its origin', () => {
    expect(refusal({ ...own, origin: null, fetchSite: 'cross-site' }, false)).toContain('Another site');
  });

  it('turns away another machine, whatever name it uses', () => {
    expect(refusal({ ...own, address: '192.168.1.7' }, false)).toContain('only this machine');
  });

  it('answers other machines once exposed, but still no foreign page', () => {
    const lan = { ...own, address: '192.168.1.7', host: 'box:3000', origin: 'http://box:3000' };
    expect(refusal(lan, true)).toBeNull();
    expect(refusal({ ...lan, origin: 'http://evil.example' }, true)).toContain('Another site');
  });
});

describe('loopback', () => {
  it('knows its names', () => {
    for (const host of ['localhost', 'LOCALHOST:3000', '127.0.0.1', '127.8.9.10:1', '[::1]:80']) {
      expect(isLoopbackHost(host), host).toBe(true);
    }
    for (const host of ['', '127.0.0.1.evil.example', '127.evil.1.1', '0x7f.0.0.1', 'localhost.evil', '127.0.0.256']) {
      expect(isLoopbackHost(host), host).toBe(false);
    }
  });

  it('knows its addresses', () => {
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) expect(isLoopbackAddress(address)).toBe(true);
    for (const address of ['10.0.0.1', '::', '::ffff:10.0.0.1', 'fe80::1'])
      expect(isLoopbackAddress(address)).toBe(false);
  });
});
