"""`jiaohao kit`: what a deployment needs, written from templates."""
