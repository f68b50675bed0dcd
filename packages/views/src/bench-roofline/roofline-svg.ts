// The picture as a file of its own: light or dark as the reader's system asks, nothing fetched, every name escaped.

import { percentText, rateText, timeText } from '@circuitscope/schema';
import { layoutRoofline, POINT } from './layout-roofline.ts';
import type { Roofline, RooflinePoint } from './roofline.ts';

const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (mark) => `&#${mark.codePointAt(0)};`).replace(/\p{Cc}/gu, ' ');

const STYLE = `
svg { --paper: #ffffff; --ink: #1d2127; --muted: #5f6772; --faint: #a9b0ba; --rule: #e9ebef; --own: #1f66b0; --peer: #c2520a; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #14171b; --ink: #e6e8eb; --muted: #9aa3af; --faint: #5c6672; --rule: #23282f; --own: #6db1f5; --peer: #f39a55; }
}
.paper { fill: var(--paper); }
text { font-family: "Source Sans 3", "Helvetica Neue", Helvetica, Arial, sans-serif; fill: var(--ink); }
.title { font-weight: 600; }
.axis, .roof text { fill: var(--muted); }
.grid { stroke: var(--rule); }
.line { stroke: var(--faint); stroke-dasharray: 4 4; fill: none; }
.line.holds { stroke: var(--ink); stroke-width: 1.6; stroke-dasharray: none; }
.line.cache { stroke: var(--muted); stroke-width: 1; }
.own { fill: var(--own); stroke: var(--paper); }
.own.cold { fill: var(--paper); stroke: var(--own); stroke-width: 1.8; }
.peer { fill: none; stroke: var(--peer); stroke-width: 1.3; }
.lead { stroke: var(--faint); stroke-width: 0.8; }
.label { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
`;

/** What a point says when it is pointed at. */
export function pointText(point: RooflinePoint): string {
  const { operation, implementation, version, regime, flops, medianNs, intensity, share } = point;
  const by =
    version === undefined || implementation.startsWith('circuitscope')
      ? implementation
      : `${implementation} ${version}`;
  const roof = share === null ? '' : `, ${percentText(share)} of the roof`;
  return `${operation}${regime === 'cold' ? ', cold' : ''} by ${by}: ${rateText(flops, 'FLOP')} at ${Number(intensity.toPrecision(3))} FLOP a byte${roof}, median ${timeText(medianNs)}`;
}

export interface SvgOptions {
  readonly width?: number;
  readonly height?: number;
}

/** An SVG document. Points of peers are hollow, those of a cold start too; each tells about itself where it is pointed at. */
export function rooflineSvg(roofline: Roofline, { width = 960, height = 600 }: SvgOptions = {}): string {
  const HEAD = 46;
  const layout = layoutRoofline(roofline, { width, height: height - HEAD });
  const { frame, size, xTicks, yTicks, roofs, points, labels } = layout;
  const bottom = frame.y + frame.height;
  const heading = `${roofline.machine}, ${roofline.threads} ${roofline.threads === 1 ? 'thread' : 'threads'}`;
  const lines: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(`Roofline of ${heading}`)}">`,
    `<style>${STYLE}</style>`,
    `<rect class="paper" width="${width}" height="${height}"/>`,
    `<text class="title" x="${frame.x}" y="22" font-size="15">${escaped(heading)}</text>`,
    `<circle class="own" cx="${frame.x + 5}" cy="37" r="${POINT}"/><text class="axis" x="${frame.x + 15}" y="41" font-size="${size}">Circuitscope</text>`,
    `<circle class="own cold" cx="${frame.x + 100}" cy="37" r="${POINT}"/><text class="axis" x="${frame.x + 110}" y="41" font-size="${size}">from cold caches</text>`,
    `<circle class="peer" cx="${frame.x + 215}" cy="37" r="${POINT - 1}"/><text class="axis" x="${frame.x + 225}" y="41" font-size="${size}">peers</text>`,
    `<g transform="translate(0 ${HEAD})" font-size="${size}">`,
  ];
  for (const { at, text } of xTicks)
    lines.push(
      `<line class="grid" x1="${at}" x2="${at}" y1="${frame.y}" y2="${bottom}"/>`,
      `<text class="axis" x="${at}" y="${bottom + 16}" text-anchor="middle">${text}</text>`,
    );
  for (const { at, text } of yTicks)
    lines.push(
      `<line class="grid" x1="${frame.x}" x2="${frame.x + frame.width}" y1="${at}" y2="${at}"/>`,
      `<text class="axis" x="${frame.x - 7}" y="${at + size * 0.35}" text-anchor="end">${text}</text>`,
    );
  lines.push(
    `<text class="axis" x="${frame.x + frame.width / 2}" y="${bottom + 34}" text-anchor="middle">operations a byte (FLOP/B)</text>`,
    `<text class="axis" transform="translate(13 ${frame.y + frame.height / 2}) rotate(-90)" text-anchor="middle">GFLOP/s</text>`,
  );
  for (const { kind, x1, y1, x2, y2, holds, text, textX, textY, anchor, turn } of roofs)
    lines.push(
      `<g class="roof"><line class="line ${kind}${holds ? ' holds' : ''}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`,
      text === ''
        ? '</g>'
        : `<text transform="translate(${textX} ${textY}) rotate(${turn})" text-anchor="${anchor}">${escaped(text)}</text></g>`,
    );
  for (const label of labels.filter(({ isLed }) => isLed))
    lines.push(
      `<line class="lead" x1="${label.x}" y1="${label.y}" x2="${label.textX.toFixed(1)}" y2="${label.textY.toFixed(1)}"/>`,
    );
  // Peers below, so that they never cover what the picture is about.
  for (const point of [...points].sort((a, b) => Number(a.isOwn) - Number(b.isOwn)))
    lines.push(
      `<circle class="${point.isOwn ? 'own' : 'peer'}${point.regime === 'cold' ? ' cold' : ''}" cx="${point.x}" cy="${point.y}" r="${point.isNamed ? POINT : POINT - 1}"><title>${escaped(pointText(point))}</title></circle>`,
    );
  for (const { text, textX, textY } of labels)
    lines.push(`<text class="label" x="${textX.toFixed(1)}" y="${textY.toFixed(1)}">${escaped(text)}</text>`);
  lines.push('</g>', '</svg>');
  return `${lines.join('\n')}\n`;
}
