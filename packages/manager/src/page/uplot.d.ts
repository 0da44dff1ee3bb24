import type uPlot from 'uplot'

declare const Plot: typeof uPlot
export default Plot
