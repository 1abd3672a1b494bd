# The image of every node: static binaries and nothing else. `make build` puts
# them in bin/. equic-bench builds the same image by itself; this file is for
# compose.yaml.
FROM scratch
COPY bin/equic-probe bin/equic-server bin/equic-client bin/equic-flood bin/equic-gateway /
